"""Read a pickle without loading it and say which names it asks for and how each one is used.

A small stack machine over `pickletools.genops`. It serves streams that we made ourselves a moment ago,
so it takes shortcuts that a scanner must not take: it trusts the stream to be well formed.
Runs on CPython 3.6 and later.
"""

import pickletools

MARK = object()


class Name:
    """A global on the stack."""

    def __init__(self, module, name):
        self.pair = (module, name)


class Made:
    """What a call on a global left on the stack, so that BUILD can be put down to it."""

    def __init__(self, pair):
        self.pair = pair


class Reader:
    def __init__(self):
        self.uses = {}
        self.stack = []
        self.memo = {}

    def note(self, pair, how):
        self.uses.setdefault(pair, set()).add(how)

    def pop_mark(self):
        items = []
        while True:
            item = self.stack.pop()
            if item is MARK:
                return items[::-1]
            items.append(item)

    def named_by(self, target, arguments):
        """The pair that a call which is nothing but an import by its arguments asks for."""
        texts = (list(arguments) if isinstance(arguments, list) else []) + [None, None]
        if target.pair[0] in ("builtins", "__builtin__") and target.pair[1] == "getattr":
            if isinstance(texts[0], Name) and isinstance(texts[1], str):
                return texts[0].pair[0], texts[0].pair[1] + "." + texts[1]
        if target.pair[0] in ("numpy.core", "numpy._core") and target.pair[1] == "_ufunc_reconstruct":
            if isinstance(texts[0], str) and isinstance(texts[1], str):
                return texts[0], texts[1]
        return None

    def call(self, target, how, arguments):
        if not isinstance(target, Name):
            self.stack.append(None)
            return
        named = self.named_by(target, arguments)
        if named:
            self.note(target.pair, "import by argument")
            self.note(named, "import")
            self.stack.append(Name(*named))
            return
        self.note(target.pair, how)
        made = target.pair
        # copyreg._reconstructor(cls, base, state) is NEWOBJ for protocols 0 and 1.
        if made[0] in ("copyreg", "copy_reg") and made[1] == "_reconstructor" and arguments:
            if isinstance(arguments[0], Name):
                made = arguments[0].pair
                self.note(made, "NEWOBJ")
        self.stack.append(Made(made))

    def step(self, op, arg):
        stack, name = self.stack, op.name
        if name == "GLOBAL":
            pair = tuple(arg.split(" ", 1))
            self.note(pair, "import")
            stack.append(Name(*pair))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            self.note((module, attribute), "import")
            stack.append(Name(module, attribute))
        elif name == "REDUCE":
            arguments, target = stack.pop(), stack.pop()
            self.call(target, "REDUCE", arguments)
        elif name in ("NEWOBJ", "NEWOBJ_EX"):
            if name == "NEWOBJ_EX":
                stack.pop()
            arguments, target = stack.pop(), stack.pop()
            self.call(target, "NEWOBJ", arguments)
        elif name == "OBJ":
            items = self.pop_mark()
            self.call(items[0], "REDUCE" if items[1:] else "NEWOBJ", items[1:])
        elif name == "INST":
            pair = tuple(arg.split(" ", 1))
            self.note(pair, "import")
            items = self.pop_mark()
            self.call(Name(*pair), "REDUCE" if items else "NEWOBJ", items)
        elif name == "BUILD":
            stack.pop()
            if isinstance(stack[-1], Made):
                self.note(stack[-1].pair, "BUILD")
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[int(arg)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[int(arg)])
        elif name == "DUP":
            stack.append(stack[-1])
        elif name == "MARK":
            stack.append(MARK)
        elif name in ("TUPLE", "LIST", "DICT", "FROZENSET"):
            stack.append(self.pop_mark())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            items = stack[-count:]
            del stack[-count:]
            stack.append(items)
        elif name in ("APPENDS", "SETITEMS", "ADDITEMS", "POP_MARK"):
            self.pop_mark()
        elif name == "STOP":
            stack.pop()
        else:
            for _ in op.stack_before:
                stack.pop()
            for _ in op.stack_after:
                stack.append(arg if isinstance(arg, str) else [] if name == "EMPTY_TUPLE" else None)


def uses_of(data):
    """`{(module, name): {"import", "NEWOBJ", "REDUCE", "BUILD"}}` of one pickle."""
    reader = Reader()
    for op, arg, _ in pickletools.genops(data):
        reader.step(op, arg)
    return reader.uses
