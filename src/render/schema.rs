//! The JSON Schemas of the reports, from `docs/schemas/`.

use crate::cli::report::Schema;

/// The text of a schema.
pub(crate) const fn text(schema: Schema) -> &'static str {
    match schema {
        Schema::Scan => include_str!("../../docs/schemas/scan.json"),
        Schema::Jsonl => include_str!("../../docs/schemas/jsonl.json"),
        Schema::Inspect => include_str!("../../docs/schemas/inspect.json"),
        Schema::Convert => include_str!("../../docs/schemas/convert.json"),
        Schema::Run => include_str!("../../docs/schemas/run.json"),
        Schema::Baseline => include_str!("../../docs/schemas/baseline.json"),
        Schema::Lock => include_str!("../../docs/schemas/lock.json"),
    }
}
