"""The objects to make of each library, as its users save them.

Every recipe is a callable, so that one that a release lacks costs only itself. Runs on CPython 3.6 and later.
"""

import importlib
import inspect

from classes import get, listed_classes


def attempt(label, make):
    try:
        return label, make()
    except Exception as error:
        return label, error


def numpy_objects():
    import numpy as np

    rng = np.random.RandomState(0)
    yield "arrays", lambda: [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.ones((2, 3))), np.zeros(0, "i8")]
    yield "object array", lambda: np.array([1, "a", None], dtype=object)
    yield "structured", lambda: np.zeros(2, dtype=[("a", "<f4"), ("b", "S3")])
    yield "record", lambda: np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    yield "record scalar", lambda: np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])[0]
    yield "matrix", lambda: np.matrix([[1, 2]])
    yield "masked", lambda: np.ma.masked_array([1, 2], mask=[0, 1])
    yield "masked constant", lambda: np.ma.masked
    yield "dates", lambda: np.array(["2020-01-01"], "M8[D]")
    for name in sorted(set(np.sctypeDict.values()), key=str):
        yield "type %s" % name, lambda name=name: name
        yield "dtype %s" % name, lambda name=name: np.dtype(name)
        yield "dtype class %s" % name, lambda name=name: type(np.dtype(name))
        yield "scalar %s" % name, lambda name=name: np.zeros(1, name)[0]
    yield "string dtype", lambda: np.dtypes.StringDType()
    yield "string dtype na", lambda: np.dtypes.StringDType(na_object=None)
    yield "string array", lambda: np.array(["a"], dtype=np.dtypes.StringDType())
    yield "abstract types", lambda: [np.generic, np.number, np.integer, np.floating, np.inexact, np.complexfloating]
    yield "random state", lambda: rng
    yield "random global", lambda: np.random.mtrand._rand
    for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"):
        yield name, lambda name=name: getattr(np.random, name)(1)
        yield "generator " + name, lambda name=name: np.random.Generator(getattr(np.random, name)(1))
        yield "random state " + name, lambda name=name: np.random.RandomState(getattr(np.random, name)(1))
        yield "class " + name, lambda name=name: getattr(np.random, name)
    yield "seed", lambda: np.random.SeedSequence(3)
    yield "seed children", lambda: np.random.SeedSequence(3).spawn(2)
    yield "polynomial", lambda: np.polynomial.Polynomial([1, 2])
    yield "poly1d", lambda: np.poly1d([1, 2])
    for name in ("Chebyshev", "Hermite", "HermiteE", "Laguerre", "Legendre"):
        yield name, lambda name=name: getattr(np.polynomial, name)([1, 2])
    yield "chararray", lambda: np.char.array(["a", "b"])
    yield "finfo", lambda: np.finfo("f4")
    yield "ndarray class", lambda: [np.ndarray, np.matrix, np.recarray, np.ma.MaskedArray, np.dtype]


def scipy_objects():
    import numpy as np
    import scipy.sparse as sp

    dense = np.eye(4)
    dense[0, 3] = 2
    for form in ("bsr", "coo", "csc", "csr", "dia", "dok", "lil"):
        yield form, lambda form=form: getattr(sp, form + "_matrix")(dense)
        yield form + " array", lambda form=form: getattr(sp, form + "_array")(dense)
    yield "frozen", lambda: __import__("scipy.stats", fromlist=["x"]).uniform(0, 1)
    yield "frozen norm", lambda: __import__("scipy.stats", fromlist=["x"]).norm(0, 1)
    yield "frozen randint", lambda: __import__("scipy.stats", fromlist=["x"]).randint(0, 5)
    yield "kde", lambda: get("scipy.stats.gaussian_kde")(np.array([1.0, 2, 4]))
    yield "interp1d", lambda: get("scipy.interpolate.interp1d")([0, 1, 2], [0, 1, 4])
    yield "bspline", lambda: get("scipy.interpolate.make_interp_spline")([0.0, 1, 2, 3, 4], [0.0, 1, 4, 9, 16])
    yield "spline", lambda: get("scipy.interpolate.UnivariateSpline")(range(9), range(9))
    yield "cubic", lambda: get("scipy.interpolate.CubicSpline")([0, 1, 2], [0, 1, 4])
    yield "pchip", lambda: get("scipy.interpolate.PchipInterpolator")([0, 1, 2], [0, 1, 4])
    yield "grid", lambda: get("scipy.interpolate.RegularGridInterpolator")(([0, 1], [0, 1]), np.eye(2))
    yield "kdtree", lambda: get("scipy.spatial.KDTree")(dense)
    yield "ckdtree", lambda: get("scipy.spatial.cKDTree")(dense)
    yield "optimize", lambda: get("scipy.optimize.minimize")(np.sum, [1.0], options={"maxiter": 1})
    yield "root", lambda: get("scipy.optimize.OptimizeResult")(x=1)
    yield "rotation", lambda: get("scipy.spatial.transform.Rotation").from_rotvec([0, 0, 1])
    yield "expit", lambda: get("scipy.special.expit")


def pandas_objects():
    import numpy as np
    import pandas as pd

    index = {
        "range": lambda: pd.RangeIndex(3),
        "int": lambda: pd.Index([3, 1, 2]),
        "float": lambda: pd.Index([3.0, 1.0]),
        "uint": lambda: pd.Index(np.array([1, 2], "u8")),
        "object": lambda: pd.Index(["a", 1], dtype=object),
        "text": lambda: pd.Index(["a", "b"]),
        "bool": lambda: pd.Index([True, False]),
        "date": lambda: pd.date_range("2020-01-01", periods=3),
        "date freq": lambda: pd.date_range("2020-01-01", periods=3, freq="W"),
        "date utc": lambda: pd.date_range("2020-01-01", periods=3, tz="UTC"),
        "date zone": lambda: pd.date_range("2020-01-01", periods=3, tz="Europe/Berlin"),
        "delta": lambda: pd.timedelta_range("1D", periods=2),
        "period": lambda: pd.period_range("2020-01", periods=2, freq="M"),
        "interval": lambda: pd.interval_range(0, 3),
        "category": lambda: pd.CategoricalIndex(["a", "b", "a"]),
        "multi": lambda: pd.MultiIndex.from_product([["a"], [1, 2]], names=["x", "y"]),
    }
    for name, make in index.items():
        yield "index " + name, make
        yield "series by " + name, lambda make=make: pd.Series(range(len(make())), index=make())
    columns = {
        "int": [1, 2], "float": [1.0, np.nan], "bool": [True, False], "object": ["a", None],
        "complex": [1j, 2.0], "category": pd.Series(["a", "b"], dtype="category"),
        "date": pd.to_datetime(["2020-01-01", "2020-01-02"]), "delta": pd.to_timedelta(["1D", "2D"]),
    }
    yield "frame", lambda: pd.DataFrame(columns)
    yield "empty frame", lambda: pd.DataFrame()
    for dtype in ("Int64", "Int8", "UInt32", "Float64", "Float32", "boolean", "string", "str", "string[python]"):
        yield "series " + dtype, lambda dtype=dtype: pd.Series(["a" if "str" in dtype else 1, None], dtype=dtype)
    for freq in ("M", "W-SUN", "Q"):
        yield "series period", lambda freq=freq: pd.Series(pd.period_range("2020", periods=2, freq=freq))
    yield "series zone", lambda: pd.Series(pd.date_range("2020", periods=2, tz="Europe/Berlin"))
    yield "series offset", lambda: pd.Series(pd.date_range("2020", periods=2, tz="+01:00"))
    yield "series sparse", lambda: pd.Series(pd.arrays.SparseArray([0, 0, 1]))
    yield "series interval", lambda: pd.Series(pd.interval_range(0, 2))
    yield "ordered category", lambda: pd.Categorical(["a"], categories=["a", "b"], ordered=True)
    yield "stamps", lambda: [pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-01", tz="UTC"), pd.NaT, pd.Timedelta("1D")]
    yield "period", lambda: pd.Period("2020-01", freq="M")
    yield "interval", lambda: pd.Interval(0, 1)
    yield "NA", lambda: pd.NA
    for name in ("Day", "Hour", "Minute", "Second", "MonthEnd", "MonthBegin", "YearEnd", "QuarterEnd", "BusinessDay", "Week", "DateOffset", "BDay"):
        yield "offset " + name, lambda name=name: getattr(pd.offsets, name)()
    for name in ("CategoricalDtype", "IntervalDtype", "Int64Dtype", "BooleanDtype", "StringDtype", "Float64Dtype", "SparseDtype"):
        yield "dtype " + name, lambda name=name: getattr(pd, name)()
    yield "dtype zone", lambda: pd.DatetimeTZDtype("ns", "UTC")
    yield "dtype period", lambda: pd.PeriodDtype("M")


def tiny():
    import numpy as np

    rng = np.random.RandomState(0)
    return np.abs(rng.randn(24, 4)) + 0.1, np.arange(24) % 2


def fit(estimator):
    """Fit on whatever this estimator takes; unfitted objects are pickled too."""
    import numpy as np

    x, y = tiny()
    tries = [(x, y), (x,), (x, x), (x, np.c_[y, y]), (x[:, 0], y), (x[:, :1], y), ([{"a": 1, "b": "c"}] * 4,),
             (["one two", "two three", "three one two"] * 4, [0, 1, 0] * 4), ([["a"], ["b"]] * 4,), (y,), (x.astype(int), y), (x[:, :2], x[:, :1])]
    for arguments in tries:
        try:
            estimator.fit(*arguments)
            return estimator
        except Exception:
            continue
    return estimator


SMALL = {"n_estimators": 2, "max_iter": 5, "n_components": 2, "n_clusters": 2, "cv": 2, "n_init": 1, "n_iter": 2, "n_quantiles": 5,
         "max_features": None, "max_n_alphas": 5, "n_alphas": 3, "n_epochs": 2, "max_subpopulation": 10, "random_state": 0}


def construct(cls):
    signature = inspect.signature(cls.__init__).parameters
    given = {name: value for name, value in SMALL.items() if name in signature and name not in ("max_features", "max_iter", "cv")}
    for name in ("estimator", "base_estimator", "regressor", "classifier"):
        if name in signature:
            tree = "LogisticRegression" if "Regress" not in cls.__name__ else "Ridge"
            given[name] = get("sklearn.linear_model." + tree)()
            break
    named = [("a", get("sklearn.linear_model.LogisticRegression")()), ("b", get("sklearn.naive_bayes.GaussianNB")())]
    if "Regressor" in cls.__name__:
        named = [("a", get("sklearn.linear_model.Ridge")()), ("b", get("sklearn.linear_model.LinearRegression")())]
    if "estimators" in signature:
        given["estimators"] = named
    if "param_grid" in signature:
        given["param_grid"] = {"C": [1, 2]}
    if "param_distributions" in signature:
        given.update(param_distributions={"C": get("scipy.stats.uniform")(0.1, 1)}, n_iter=2)
    if "transformers" in signature:
        given["transformers"] = [("a", get("sklearn.preprocessing.StandardScaler")(), [0, 1]), ("b", "passthrough", slice(2, 3))]
    if "transformer_list" in signature:
        given["transformer_list"] = [("a", get("sklearn.preprocessing.StandardScaler")())]
    if "steps" in signature:
        given["steps"] = [("a", get("sklearn.preprocessing.StandardScaler")()), named[0]]
    if "dictionary" in signature and cls.__name__ == "SparseCoder":
        given["dictionary"] = tiny()[0]
    for attempt_with in (given, {k: v for k, v in given.items() if k not in SMALL}, {}):
        try:
            return cls(**attempt_with)
        except TypeError:
            continue
    return cls()


def sklearn_objects():
    import numpy as np

    base = get("sklearn.base.BaseEstimator")
    seen = []
    for cls in listed_classes("sklearn", [base], ("externals", "setup")):
        if not inspect.isabstract(cls) and cls not in seen:
            seen.append(cls)
            yield cls.__name__, lambda cls=cls: construct(cls)
            yield cls.__name__ + " fitted", lambda cls=cls: fit(construct(cls))
    x, y = tiny()

    def made(path, *arguments, **named):
        return lambda: fit(get(path)(*arguments, **named))

    for loss in ("log_loss", "exponential", "deviance"):
        yield "gb " + loss, made("sklearn.ensemble.GradientBoostingClassifier", loss=loss, n_estimators=2)
    for loss in ("ls", "lad", "huber", "quantile", "squared_error", "absolute_error"):
        yield "gbr " + loss, made("sklearn.ensemble.GradientBoostingRegressor", loss=loss, n_estimators=2)
    for loss in ("squared_error", "least_squares", "absolute_error", "least_absolute_deviation", "poisson", "gamma"):
        yield "hgb " + loss, made("sklearn.ensemble.HistGradientBoostingRegressor", loss=loss, max_iter=2)
    yield "hgb cat", made("sklearn.ensemble.HistGradientBoostingRegressor", loss="quantile", quantile=0.5, max_iter=2)
    yield "hgb multi", lambda: get("sklearn.ensemble.HistGradientBoostingClassifier")(max_iter=2).fit(x, np.arange(24) % 3)
    yield "gb multi", lambda: get("sklearn.ensemble.GradientBoostingClassifier")(n_estimators=2).fit(x, np.arange(24) % 3)
    for loss in ("hinge", "log", "log_loss", "modified_huber", "squared_hinge", "perceptron", "squared_loss", "squared_error", "huber",
                 "epsilon_insensitive", "squared_epsilon_insensitive"):
        yield "sgd " + loss, made("sklearn.linear_model.SGDClassifier", loss=loss, max_iter=2)
    for family in ("Poisson", "Gamma", "Tweedie"):
        yield family, made("sklearn.linear_model.%sRegressor" % family, max_iter=2)
    for power in (0, 1, 1.5, 2, 3):
        yield "tweedie", made("sklearn.linear_model.TweedieRegressor", power=power, max_iter=2)
    for solver in ("adam", "sgd", "lbfgs"):
        yield "mlp " + solver, made("sklearn.neural_network.MLPClassifier", (3,), solver=solver, max_iter=2)
    for algorithm in ("kd_tree", "ball_tree", "brute"):
        for metric in ("minkowski", "euclidean", "manhattan", "chebyshev"):
            for leaf in (1, 2):
                yield "knn", made("sklearn.neighbors.KNeighborsClassifier", 2, algorithm=algorithm, metric=metric, p=leaf)
        yield "knn float32", lambda algorithm=algorithm: get("sklearn.neighbors.KNeighborsClassifier")(2, algorithm=algorithm).fit(x.astype("f4"), y)
    for metric in ("hamming", "canberra", "braycurtis", "matching", "jaccard", "dice", "rogerstanimoto", "russellrao", "sokalmichener", "sokalsneath", "haversine"):
        yield "ball " + metric, lambda metric=metric: get("sklearn.neighbors.BallTree")(x[:, :2], metric=metric)
    for metric in ("euclidean", "manhattan", "chebyshev", "minkowski", "hamming", "canberra", "braycurtis", "jaccard", "dice"):
        yield "dist " + metric, lambda metric=metric: get("sklearn.metrics.DistanceMetric").get_metric(metric)
        yield "dist " + metric, lambda metric=metric: get("sklearn.neighbors.DistanceMetric").get_metric(metric)
    for metric in ("seuclidean",):
        yield "dist " + metric, lambda metric=metric: get("sklearn.metrics.DistanceMetric").get_metric(metric, V=[1.0, 2])
    for kernel in ("RBF", "Matern", "RationalQuadratic", "ExpSineSquared", "DotProduct", "WhiteKernel", "ConstantKernel", "PairwiseKernel"):
        yield "kernel " + kernel, lambda kernel=kernel: fit(get("sklearn.gaussian_process.GaussianProcessRegressor")(get("sklearn.gaussian_process.kernels." + kernel)()))
    kernels = lambda: importlib.import_module("sklearn.gaussian_process.kernels")
    yield "kernel sum", lambda: [kernels().RBF() + kernels().WhiteKernel(), kernels().RBF() * 2, kernels().RBF() ** 2, kernels().CompoundKernel([kernels().RBF()])]
    for kernel in ("linear", "poly", "rbf", "sigmoid"):
        yield "svc " + kernel, made("sklearn.svm.SVC", kernel=kernel, probability=True)
    for name in ("KFold", "StratifiedKFold", "GroupKFold", "LeaveOneOut", "LeavePOut", "RepeatedKFold", "RepeatedStratifiedKFold", "ShuffleSplit",
                 "StratifiedShuffleSplit", "GroupShuffleSplit", "TimeSeriesSplit", "StratifiedGroupKFold", "LeaveOneGroupOut"):
        yield "cv " + name, lambda name=name: get("sklearn.model_selection." + name)(*([2] if name == "LeavePOut" else []))
    yield "predefined", lambda: get("sklearn.model_selection.PredefinedSplit")([0, 1])
    yield "grid", lambda: get("sklearn.model_selection.ParameterGrid")({"a": [1]})
    for metric in ("accuracy", "roc_auc", "neg_mean_squared_error", "f1", "neg_log_loss", "r2", "average_precision", "f1_macro", "precision",
                   "recall", "balanced_accuracy", "neg_mean_absolute_error", "neg_root_mean_squared_error"):
        yield "scorer " + metric, lambda metric=metric: get("sklearn.metrics.get_scorer")(metric)
        yield "search " + metric, lambda metric=metric: get("sklearn.model_selection.GridSearchCV")(
            get("sklearn.linear_model.LogisticRegression")(), {"C": [1, 2]}, scoring=metric, cv=2).fit(x, y)
    for score in ("f_classif", "chi2", "mutual_info_classif", "f_regression", "mutual_info_regression", "r_regression"):
        yield "kbest " + score, lambda score=score: fit(get("sklearn.feature_selection.SelectKBest")(get("sklearn.feature_selection." + score), k=2))
    yield "bunch", lambda: get("sklearn.utils.Bunch")(a=1)
    yield "bunch iris", lambda: get("sklearn.datasets.load_iris")()
    for strategy in ("mean", "most_frequent", "constant"):
        yield "impute", made("sklearn.impute.SimpleImputer", strategy=strategy)
    for name in ("BallTree", "KDTree"):
        for dtype in ("f8", "f4"):
            yield name, lambda name=name, dtype=dtype: get("sklearn.neighbors." + name)(x.astype(dtype))
        for bits in ("32", "64"):
            yield name + bits, lambda name=name, bits=bits: get(
                "sklearn.neighbors._%s.%s" % ("ball_tree" if name[0] == "B" else "kd_tree", name + bits))(x.astype("f4" if bits == "32" else "f8"))
    yield "functions", lambda: get("sklearn.preprocessing.FunctionTransformer")(np.log1p)
    yield "column", lambda: get("sklearn.compose.make_column_transformer")(
        (get("sklearn.preprocessing.OneHotEncoder")(), [0]), (get("sklearn.preprocessing.MinMaxScaler")(), [1, 2]), remainder="passthrough").fit(x)
    yield "selector", lambda: get("sklearn.compose.make_column_selector")(dtype_include=np.number)
    yield "pipeline", lambda: get("sklearn.pipeline.make_pipeline")(
        get("sklearn.feature_extraction.text.TfidfVectorizer")(), get("sklearn.linear_model.LogisticRegression")()).fit(["a b", "c d"] * 3, [0, 1] * 3)
    yield "tags", lambda: get("sklearn.linear_model.LogisticRegression")().__sklearn_tags__()
    yield "calibrated", lambda: get("sklearn.calibration.CalibratedClassifierCV")(get("sklearn.svm.LinearSVC")(), cv=2, method="isotonic").fit(x, y)
    yield "display", lambda: get("sklearn.metrics.ConfusionMatrixDisplay")(np.eye(2))
    yield "bayes", lambda: get("sklearn.naive_bayes.GaussianNB")().fit(x, y)
    yield "missing", lambda: get("sklearn.utils._missing.is_scalar_nan")


def gbdt_objects(library):
    x, y = tiny()
    multi = [i % 3 for i in range(24)]
    small = {"n_estimators": 2, "max_depth": 2}
    if library == "xgboost":
        import xgboost as lib

        for name in ("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor"):
            yield name, lambda name=name: getattr(lib, name)(**small).fit(x, y)
        for booster in ("gblinear", "dart"):
            yield booster, lambda booster=booster: lib.XGBClassifier(booster=booster, n_estimators=2).fit(x, y)
        yield "multi", lambda: lib.XGBClassifier(**small).fit(x, multi)
        yield "ranker", lambda: lib.XGBRanker(**small).fit(x, y, group=[12, 12])
        yield "early", lambda: lib.XGBClassifier(early_stopping_rounds=2, **small).fit(x, y, eval_set=[(x, y)])
        yield "booster", lambda: lib.train({"max_depth": 2}, lib.DMatrix(x, y), 2)
        yield "callbacks", lambda: lib.XGBClassifier(callbacks=[lib.callback.EarlyStopping(2)], **small).fit(x, y, eval_set=[(x, y)])
    elif library == "lightgbm":
        import lightgbm as lib

        few = {"n_estimators": 2, "min_child_samples": 2, "verbose": -1}
        for name in ("LGBMClassifier", "LGBMRegressor"):
            yield name, lambda name=name: getattr(lib, name)(**few).fit(x, y)
        yield "multi", lambda: lib.LGBMClassifier(**few).fit(x, multi)
        yield "ranker", lambda: lib.LGBMRanker(**few).fit(x, y, group=[12, 12])
        yield "early", lambda: lib.LGBMClassifier(**few).fit(x, y, eval_set=[(x, y)], callbacks=[lib.early_stopping(2)])
        yield "booster", lambda: lib.train({"verbose": -1, "min_data_in_leaf": 2}, lib.Dataset(x, y), 2)
    elif library == "catboost":
        import catboost as lib

        few = {"iterations": 2, "depth": 2, "verbose": 0, "allow_writing_files": False}
        for name in ("CatBoost", "CatBoostClassifier", "CatBoostRegressor"):
            yield name, lambda name=name: (lib.CatBoost(few) if name == "CatBoost" else getattr(lib, name)(**few)).fit(x, y)
        yield "ranker", lambda: lib.CatBoostRanker(**few).fit(x, y, group_id=[0] * 12 + [1] * 12)
        yield "pool", lambda: lib.CatBoostClassifier(**few).fit(lib.Pool(x, y, feature_names=list("abcd")))


def joblib_objects():
    import numpy as np

    yield "arrays", lambda: {"a": np.arange(3), "b": [np.eye(2, order="F"), np.array([1, None], dtype=object)]}
    yield "memmap", lambda: np.ones(2).view(np.memmap)


def module_arguments(cls):
    """Arguments that make a torch module of this class; most take a few small ints."""
    import torch

    inner = torch.nn.Linear(2, 2)
    special = {"ModuleList": ([inner],), "ModuleDict": ({"a": inner},), "Sequential": (inner, torch.nn.ReLU()), "ParameterList": ([inner.weight],),
               "ParameterDict": ({"a": inner.weight},), "Transformer": (4, 2, 1, 1, 8), "TransformerEncoderLayer": (4, 2, 8), "TransformerDecoderLayer": (4, 2, 8),
               "MultiheadAttention": (4, 2), "GroupNorm": (2, 4), "LayerNorm": (4,), "RMSNorm": (4,), "Threshold": (0.1, 1.0), "Unflatten": (1, (2, 2)), "Fold": ((4, 4), 2),
               "AdaptiveLogSoftmaxWithLoss": (8, 10, [4]), "ChannelShuffle": (2,)}
    if cls.__name__ == "TransformerEncoder":
        return [(torch.nn.TransformerEncoderLayer(4, 2, 8), 1)]
    if cls.__name__ == "TransformerDecoder":
        return [(torch.nn.TransformerDecoderLayer(4, 2, 8), 1)]
    if cls.__name__ in special:
        return [special[cls.__name__]]
    return [(), (2,), (2, 2), (2, 2, 2), (1, 1, 1, 1)]


def make_module(cls):
    last = None
    for arguments in module_arguments(cls):
        try:
            return cls(*arguments)
        except Exception as error:
            last = error
    raise last


def torch_objects():
    import collections

    import torch

    for cls in listed_classes("torch.nn.modules", [torch.nn.Module]):
        yield "module " + cls.__name__, lambda cls=cls: make_module(cls)
        yield "module eval " + cls.__name__, lambda cls=cls: make_module(cls).eval()
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
    yield "state dict", lambda: model.state_dict()
    yield "model", lambda: model
    for activation in ("relu", "gelu"):
        yield "encoder " + activation, lambda activation=activation: torch.nn.TransformerEncoderLayer(4, 2, 8, activation=activation)
    optimizers = [cls for cls in listed_classes("torch.optim", [torch.optim.Optimizer]) if cls is not torch.optim.Optimizer]
    for cls in optimizers:
        def stepped(cls=cls):
            parameters = [torch.nn.Parameter(torch.ones(2, 2))]
            made = cls(parameters, lr=0.1)
            parameters[0].sum().backward()
            try:
                made.step()
            except Exception:
                pass
            return made
        yield "optimizer " + cls.__name__, stepped
        yield "optimizer state " + cls.__name__, lambda stepped=stepped: stepped().state_dict()
    schedules = {"StepLR": (1,), "MultiStepLR": ([1],), "ExponentialLR": (0.9,), "CosineAnnealingLR": (2,), "ReduceLROnPlateau": (), "CyclicLR": (0.1, 0.2),
                 "OneCycleLR": (0.1, 5), "CosineAnnealingWarmRestarts": (2,), "LinearLR": (), "ConstantLR": (), "PolynomialLR": (), "LambdaLR": (abs,), "MultiplicativeLR": (abs,)}
    for name, arguments in schedules.items():
        yield "schedule " + name, lambda name=name, arguments=arguments: getattr(torch.optim.lr_scheduler, name)(
            torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1, momentum=0.9), *arguments)
    yield "schedule linear cycle", lambda: torch.optim.lr_scheduler.OneCycleLR(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1, momentum=0.9), 0.1, 5, anneal_strategy="linear")
    yield "sequential lr", lambda: (lambda o, s: s.SequentialLR(o, [s.ConstantLR(o), s.ExponentialLR(o, 0.9)], [1]))(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1), torch.optim.lr_scheduler)
    yield "chained lr", lambda: (lambda o, s: s.ChainedScheduler([s.ConstantLR(o), s.ExponentialLR(o, 0.9)]))(torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1), torch.optim.lr_scheduler)
    yield "swa", lambda: torch.optim.swa_utils.AveragedModel(model)
    dtypes = sorted({str(v) for v in vars(torch).values() if isinstance(v, torch.dtype)})
    for dtype in dtypes:
        yield "dtype " + dtype, lambda dtype=dtype: getattr(torch, dtype.split(".")[1])
        yield "tensor " + dtype, lambda dtype=dtype: torch.zeros(2, 2, dtype=getattr(torch, dtype.split(".")[1]))
    yield "sparse", lambda: torch.eye(2).to_sparse()
    if hasattr(torch, "sparse_bsc"):  # earlier ones crash on pickling it
        yield "csr", lambda: torch.eye(2).to_sparse_csr()
    yield "quantized", lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    yield "quantized channel", lambda: torch.quantize_per_channel(torch.ones(2, 2), torch.ones(2), torch.zeros(2), 0, torch.quint8)
    yield "meta", lambda: torch.empty(2, device="meta")
    yield "conj", lambda: torch.ones(2, dtype=torch.complex64).conj()
    yield "values", lambda: [torch.Size([1, 2]), torch.device("cpu"), torch.device("cuda", 0), torch.strided, torch.per_tensor_affine, torch.channels_last]
    yield "parameter", lambda: torch.nn.Parameter(torch.ones(1))
    yield "buffer", lambda: torch.nn.Buffer(torch.ones(1))
    yield "parameter state", lambda: setattr_returning(torch.nn.Parameter(torch.ones(1)), "note", "x")
    yield "tensor attribute", lambda: setattr_returning(torch.ones(1), "note", "x")
    yield "generator", lambda: torch.Generator()
    yield "rng", lambda: torch.get_rng_state()
    yield "weight norm", lambda: torch.nn.utils.weight_norm(torch.nn.Linear(2, 2))
    yield "spectral norm", lambda: torch.nn.utils.spectral_norm(torch.nn.Linear(2, 2))
    yield "packed", lambda: torch.nn.utils.rnn.pack_padded_sequence(torch.ones(2, 1, 1), [2])
    yield "dataset", lambda: torch.utils.data.TensorDataset(torch.ones(2))
    yield "checkpoint", lambda: collections.OrderedDict(epoch=1, state_dict=model.state_dict(), args=__import__("argparse").Namespace(lr=0.1))
    yield "grad scaler", lambda: torch.cuda.amp.GradScaler(enabled=False)
    yield "dcp", dcp_metadata


def setattr_returning(thing, name, value):
    setattr(thing, name, value)
    return thing


def dcp_metadata():
    """The Metadata object of a distributed checkpoint, taken on its way to the file."""
    import pickle
    import tempfile

    import torch
    import torch.distributed.checkpoint as dcp

    caught = []
    kept = pickle.dump

    def dump(thing, file, *arguments, **named):
        caught.append(thing)
        return kept(thing, file, *arguments, **named)

    pickle.dump = dump
    try:
        with tempfile.TemporaryDirectory() as folder:
            state = {"a": torch.ones(2, 2), "step": 3, "nested": {"b": torch.zeros(1, dtype=torch.bfloat16)}}
            dcp.save(state, checkpoint_id=folder, no_dist=True)
    finally:
        pickle.dump = kept
    return caught


def transformers_objects():
    import torch
    import transformers

    options = {"output_dir": "out", "report_to": []}

    def arguments(name, **more):
        for extra in ({"use_cpu": True}, {"no_cuda": True}, {}):
            try:
                made = getattr(transformers, name)(**options, **more, **extra)
                made.device  # fills the distributed state, as training does
                return made
            except TypeError:
                continue
        return getattr(transformers, name)(**options, **more)

    for name in ("TrainingArguments", "Seq2SeqTrainingArguments"):
        yield name, lambda name=name: arguments(name)
    yield "steps", lambda: arguments("TrainingArguments", eval_strategy="steps", save_strategy="epoch", logging_strategy="epoch")
    yield "old steps", lambda: arguments("TrainingArguments", evaluation_strategy="steps", save_strategy="epoch", logging_strategy="epoch")
    yield "generation", lambda: arguments("Seq2SeqTrainingArguments", generation_config=transformers.GenerationConfig())
    yield "generation config", lambda: transformers.GenerationConfig()
    for module in ("transformers.trainer_utils", "transformers.training_args", "transformers.trainer_pt_utils", "transformers.debug_utils"):
        yield "enums " + module, lambda module=module: enums(module)


def enums(module):
    import enum

    loaded = importlib.import_module(module)
    return [list(found)[0] for _, found in sorted(vars(loaded).items())
            if isinstance(found, type) and issubclass(found, enum.Enum) and found.__module__.startswith("transformers") and len(found)]


RECIPES = {
    "numpy": numpy_objects, "scipy": scipy_objects, "pandas": pandas_objects, "sklearn": sklearn_objects, "joblib": joblib_objects,
    "xgboost": lambda: gbdt_objects("xgboost"), "lightgbm": lambda: gbdt_objects("lightgbm"), "catboost": lambda: gbdt_objects("catboost"),
    "torch": torch_objects, "transformers": transformers_objects,
}


def objects(library):
    try:
        importlib.import_module(library)
    except ImportError:
        return
    for label, make in RECIPES[library]():
        yield attempt("%s: %s" % (library, label), make)
