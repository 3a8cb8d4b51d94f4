//! Bounds of the pickle machine, and of what is shown of a pickle.

/// Anomalies kept of one stream.
pub const MAX_ANOMALIES: usize = 1000;

/// Literals of one stream examined as artifacts of their own.
pub const MAX_LITERALS: usize = 10_000;

/// Shorter literals cannot hold a pickle that calls something.
pub const MIN_LITERAL_BYTES: u32 = 16;

/// A quoted line (STRING) up to this length is checked for its quotes.
pub const MAX_QUOTED_LINE_BYTES: usize = 1 << 20;

/// Memo keys that are texts, which Python 2 takes.
pub const MAX_TEXT_MEMO_KEYS: usize = 10_000;

/// A memo index further than this behind all others is an anomaly: some Pythons allocate a table of that length.
pub const MAX_MEMO_GAP: u64 = 1_000_000;

/// Values in one key followed to what is hashed.
pub const MAX_HASHED_VALUES: usize = 256;

/// Longest key of a dict compared with the watched ones: the longest has 32 characters, as escapes ten times more.
pub const MAX_WATCHED_KEY_BYTES: u32 = 400;

/// Arguments of one call followed for containers which change later. No constructor takes more.
pub const MAX_FOLLOWED_ARGUMENTS: usize = 16;

/// Values of one level of the stack kept when older ones are forgotten.
pub const MAX_LEVEL_VALUES: usize = 1 << 17;

/// Length of a preview: one line of a report.
pub const MAX_PREVIEW_CHARS: usize = 160;

/// Nesting that a preview shows. It also bounds the recursion that writes it.
pub const MAX_PREVIEW_DEPTH: usize = 4;

/// Items of one container that a preview shows.
pub const MAX_PREVIEW_ITEMS: usize = 6;

/// Characters of one text that a preview shows.
pub const MAX_PREVIEW_TEXT_CHARS: usize = 60;

/// Characters of one argument that a listing shows.
pub const MAX_LISTED_TEXT_CHARS: usize = 80;

/// Characters of one note in a listing.
pub const MAX_LISTED_NOTE_CHARS: usize = 200;

/// Opcodes decoded for one excerpt: some tenths of a second.
pub const MAX_EXCERPT_OPCODES: usize = 4_000_000;
