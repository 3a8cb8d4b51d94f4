//! Values of the machine: enough to name callables, check arguments and show previews.
//!
//! A value is 16 bytes and owns nothing. Texts and bytes stay ranges of the source; containers and results of calls
//! are nodes of the heap, or opaque once the heap is full.

/// Index of a callable in [`super::Trace::callables`].
pub type CallableId = u32;
/// Index of a node in the heap.
pub type NodeId = u32;

/// How a text is encoded in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TextEncoding {
    /// UTF-8, surrogates let through (BINUNICODE and its kin).
    Utf8,
    /// The raw-unicode-escape line of UNICODE.
    RawUnicodeEscape,
    /// The quoted line of STRING, with Python's escapes.
    Quoted,
    /// Bytes of a Python 2 `str` (BINSTRING): text in whatever encoding the loader names.
    Native,
}

/// Types of containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ContainerKind {
    /// A tuple.
    Tuple,
    /// A list.
    List,
    /// A dict.
    Dict,
    /// A set.
    Set,
    /// A frozenset.
    FrozenSet,
}

/// A value, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// A bool.
    Bool(bool),
    /// An int that fits.
    Int(i64),
    /// An int that does not fit: the range of its two's complement bytes or its digits.
    BigInt {
        /// Offset of the first byte.
        at: u64,
        /// How many bytes.
        len: u32,
    },
    /// A float.
    Float(f64),
    /// A text.
    Text {
        /// How it is written.
        encoding: TextEncoding,
        /// Bytes of it, as written; `u32::MAX` for that many or more.
        len: u32,
        /// Offset of the first byte.
        at: u64,
    },
    /// Bytes or a bytearray.
    Bytes {
        /// How many; `u32::MAX` for that many or more.
        len: u32,
        /// Offset of the first byte.
        at: u64,
    },
    /// An imported object.
    Global(CallableId),
    /// A container or the result of a call.
    Node(NodeId),
    /// A container whose content was not kept.
    Opaque(ContainerKind),
    /// The result of a call whose arguments were not kept: an instance of that callable, or something it returned.
    Instance(CallableId),
    /// Unknown: an out-of-band buffer, a registered extension, a forgotten value.
    Unknown,
}

impl Value {
    /// Whether it is data through and through: nothing in it can be called or was made by a call.
    pub fn is_plain(self) -> bool {
        !matches!(self, Self::Global(_) | Self::Node(_) | Self::Instance(_) | Self::Unknown)
    }
}

/// How a call comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CallKind {
    /// `callable(*args)`.
    Reduce,
    /// OBJ and INST: a class called, or made without `__init__` when there are no arguments.
    Instance,
    /// `cls.__new__(cls, *args)`.
    New,
    /// `cls.__new__(cls, *args, **kwargs)`.
    NewEx,
    /// `obj.__setstate__(state)`, or attributes set.
    Build,
    /// `obj.append(x)` or `obj.extend(x)` of something that is not a list.
    Append,
    /// `obj.add(x)` of something that is not a set.
    Add,
    /// `obj[key] = value` of something that is not a dict.
    SetItem,
    /// `hash(key)` of something that is not plain data.
    Hash,
    /// `__del__` of something dropped from the stack.
    Delete,
    /// The loader's own `persistent_load(id)`.
    Persistent,
    /// An object of the loader's `copyreg` extension table.
    Extension,
}

/// Up to a limit of items, and how many there were.
#[derive(Debug, Clone, Default)]
pub struct Items {
    /// The first items.
    pub kept: Vec<Value>,
    /// How many there are.
    pub total: u64,
}

impl Items {
    /// Whether all items are known.
    pub fn complete(&self) -> bool {
        self.kept.len() as u64 == self.total
    }

    /// All items when they are known and there are exactly `N`.
    pub fn as_array<const N: usize>(&self) -> Option<[Value; N]> {
        if !self.complete() {
            return None;
        }
        <[Value; N]>::try_from(self.kept.as_slice()).ok()
    }
}

/// A container or the result of a call.
#[derive(Debug, Clone)]
pub enum Node {
    /// A literal container. Dicts hold key, value, key, value.
    Container {
        /// Which.
        kind: ContainerKind,
        /// Its items.
        items: Items,
    },
    /// What a call returned.
    Call(Box<Call>),
}

/// A call and what was done to its result afterwards.
#[derive(Debug, Clone)]
pub struct Call {
    /// Offset of the opcode.
    pub at: u64,
    /// How it came about.
    pub how: CallKind,
    /// What was called.
    pub callee: Value,
    /// Its arguments: a tuple, or another value.
    pub args: Value,
    /// Only few calls have more than arguments, and a checkpoint makes three calls a tensor.
    more: Option<Box<CallExtras>>,
}

#[derive(Debug, Clone)]
struct CallExtras {
    kwargs: Value,
    states: Vec<Value>,
    items: Items,
}

impl Call {
    /// Bytes of what few calls have.
    pub(super) const MORE: usize = size_of::<CallExtras>();

    /// Keyword arguments are `None` where there are none.
    pub fn new(at: u64, how: CallKind, callee: Value, args: Value, kwargs: Value) -> Self {
        let mut call = Self { at, how, callee, args, more: None };
        if kwargs != Value::None {
            call.more().kwargs = kwargs;
        }
        call
    }

    /// Keyword arguments of NEWOBJ_EX.
    pub fn kwargs(&self) -> Value {
        self.more.as_ref().map_or(Value::None, |more| more.kwargs)
    }

    /// States given by BUILD, in order.
    pub fn states(&self) -> &[Value] {
        self.more.as_ref().map_or(&[], |more| &more.states)
    }

    /// Items given by APPEND, ADDITEMS and SETITEM (key and value).
    pub fn items(&self) -> &Items {
        static NONE: Items = Items { kept: Vec::new(), total: 0 };
        self.more.as_ref().map_or(&NONE, |more| &more.items)
    }

    /// Whether it has more than arguments.
    pub(super) fn has_more(&self) -> bool {
        self.more.is_some()
    }

    pub(super) fn states_mut(&mut self) -> &mut Vec<Value> {
        &mut self.more().states
    }

    pub(super) fn items_mut(&mut self) -> &mut Items {
        &mut self.more().items
    }

    fn more(&mut self) -> &mut CallExtras {
        self.more.get_or_insert_with(|| {
            Box::new(CallExtras { kwargs: Value::None, states: Vec::new(), items: Items::default() })
        })
    }
}
