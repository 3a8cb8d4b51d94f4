//! The table of formats as text, JSON and markdown (`docs/formats.md`).

use scanner::formats::FormatInfo;
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct Row {
    id: &'static str,
    name: &'static str,
    extensions: &'static [&'static str],
    read: &'static str,
    judged: &'static str,
    converted: &'static str,
    provable: bool,
}

impl From<&FormatInfo> for Row {
    fn from(info: &FormatInfo) -> Self {
        let FormatInfo {
            id,
            name,
            extensions,
            doc_read: read,
            doc_judged: judged,
            doc_converted: converted,
            is_provable,
            ..
        } = *info;
        Self { id, name, extensions, read, judged, converted, provable: is_provable }
    }
}

fn extensions(row: &Row) -> String {
    row.extensions.iter().map(|extension| format!(".{extension}")).collect::<Vec<_>>().join(" ")
}

fn yes_or_no(row: &Row) -> &'static str {
    if row.provable { "yes" } else { "no" }
}

/// A paragraph for each format.
pub(crate) fn text(infos: &[&FormatInfo], out: &mut dyn Write) -> io::Result<()> {
    for (index, row) in infos.iter().map(|info| Row::from(*info)).enumerate() {
        let separator = if index == 0 { "" } else { "\n" };
        writeln!(out, "{separator}{}: {}", row.id, row.name)?;
        if !row.extensions.is_empty() {
            writeln!(out, "  extensions       {}", extensions(&row))?;
        }
        writeln!(out, "  read             {}", row.read)?;
        writeln!(out, "  judged           {}", row.judged)?;
        writeln!(out, "  converted        {}", row.converted)?;
        writeln!(out, "  can be proven    {}", yes_or_no(&row))?;
    }
    Ok(())
}

/// A JSON array.
pub(crate) fn json(infos: &[&FormatInfo], out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<Row> = infos.iter().map(|info| Row::from(*info)).collect();
    writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)
}

/// A page with one table.
pub(crate) fn markdown(infos: &[&FormatInfo], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# Formats\n\n<!-- Made by `modelscan formats --format markdown`; do not edit. -->\n")?;
    writeln!(
        out,
        "A format is recognized by content. Extensions are only the usual ones. A file that cannot be proven is"
    )?;
    writeln!(out, "never `clean`. Any other content is `not_scanned`.\n")?;
    writeln!(out, "| id | format | extensions | read | judged | converted to safetensors | can be proven clean |")?;
    writeln!(out, "|---|---|---|---|---|---|---|")?;
    for row in infos.iter().map(|info| Row::from(*info)) {
        let Row { id, name, read, judged, converted, .. } = row;
        let (extensions, provable) = (extensions(&row), yes_or_no(&row));
        writeln!(out, "| `{id}` | {name} | {extensions} | {read} | {judged} | {converted} | {provable} |")?;
    }
    Ok(())
}
