//! Kinds of values other than tensors, for reports.

/// A value of a pickle that is not a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueKind {
    /// `None`.
    None,
    /// A bool.
    Bool,
    /// An integer.
    Int,
    /// A float.
    Float,
    /// A text.
    Text,
    /// Bytes.
    Bytes,
    /// An imported name.
    Import,
    /// Any other value.
    Other,
    /// An array of Python objects.
    ObjectArray,
    /// The result of a callable that is not known.
    CallResult {
        /// The name of the callable.
        callable: String,
    },
    /// A module, of which only parameters, buffers and modules are read.
    Module {
        /// The name of its class.
        class: String,
    },
}

impl std::fmt::Display for ValueKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bool => "a truth value",
            Self::Int => "a whole number",
            Self::Float => "a number",
            Self::Text => "a text",
            Self::Bytes => "bytes",
            Self::Import => "a name that is imported",
            Self::Other => "a value",
            Self::ObjectArray => "an array of objects",
            Self::CallResult { callable } => return write!(f, "what {callable} makes"),
            Self::Module { class } => return write!(f, "the class {class} and its other attributes"),
        })
    }
}
