//! How a stream is read: the loader that will load it, and how far it is followed.

use super::decode::FrameReading;
use super::trace::Trace;
use super::value::NodeId;

/// What follows a BUILD opcode, for loaders that write raw bytes there (joblib).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inline {
    /// The next opcode.
    None,
    /// Raw bytes up to that offset.
    Array {
        /// Offset of the next opcode.
        end: u64,
    },
    /// Another pickle.
    Pickle,
    /// An array of unknown length; why it is unknown.
    Unknown(String),
}

/// Says what follows the BUILD of that node, at that offset.
pub type InlineReader = dyn Fn(&Trace, NodeId, u64) -> Inline + Sync;

/// How to read a stream.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What the loader of this format writes between opcodes.
    pub inline: Option<&'a InlineReader>,
    /// Which reading of frames.
    pub reading: FrameReading,
    /// The trace ends with [`super::StreamEnd::Limit`] after this many opcodes, whatever [`crate::Limits::opcodes`] says.
    pub max_opcodes: u64,
    /// Which keys of a dict must be reported even when its items are no longer kept: an event `SetItem` of unknown values.
    pub is_watched_key: fn(&str) -> bool,
}

impl Options<'static> {
    /// The stream as `pickle.load` reads it, to its end, without watched keys.
    pub const PLAIN: Self =
        Self { inline: None, reading: FrameReading::Transparent, max_opcodes: u64::MAX, is_watched_key: |_| false };
}

impl Default for Options<'_> {
    fn default() -> Self {
        Options::PLAIN
    }
}
