//! Why the tensors found in a pickle may not be all of its tensors.

/// Why the tensors found in a pickle may not be all of its tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncompleteReason {
    /// The values of the pickle take more than `Limits::heap_bytes`.
    HeapFull,
    /// More values or tensors than are visited.
    TooManyValues,
    /// Keys are nested too deeply, or there are too many paths.
    TooDeep,
    /// The scan does not know a value.
    UnknownValue,
    /// A container has more items than `Limits::items`.
    ItemsDropped,
    /// `_rebuild_from_type_v2` calls a function that does not make tensors.
    UnknownTensorFunction,
    /// A tensor gets other elements after it was made.
    TensorModified,
    /// The attributes that are set on a tensor are not a dict.
    UnknownAttributes,
    /// An `OrderedDict` is made of something else than a list of pairs.
    OrderedDictArguments,
    /// An object is given a state twice: its class decides what the second one replaces.
    TwoStates,
    /// A container gets items after an object was made of its items.
    ContainerModified,
    /// A key is too long to be part of a name.
    KeyTooLong,
    /// All names together are too long.
    NamesTooLong,
}

impl std::fmt::Display for IncompleteReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::HeapFull => "its values take more memory than they are allowed",
            Self::TooManyValues => "it names more values than anybody can count",
            Self::TooDeep => "it is nested too deeply, or has too many values",
            Self::UnknownValue => "a value of it is not known",
            Self::ItemsDropped => "a container of it has more items than are kept",
            Self::UnknownTensorFunction => "a tensor of it is made by a function that is not known to make any",
            Self::TensorModified => "a tensor of it is changed after it was made",
            Self::UnknownAttributes => "attributes of a tensor of it cannot be told",
            Self::OrderedDictArguments => "an ordered dict of it is made of what is no list of pairs",
            Self::TwoStates => "an object of it is given a state twice",
            Self::ContainerModified => "a container of it is changed after an object was made of its items",
            Self::KeyTooLong => "a key of it is longer than any name",
            Self::NamesTooLong => "its names take more memory than they are allowed",
        })
    }
}
