//! The report of a conversion: a summary, a table of the plan, or JSON.

use crate::escape::{self, text};
use loader::report::ConvertReport;
use std::io::{self, Write};

/// JSON.
pub(crate) fn json(report: &ConvertReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", escape::json(&serde_json::to_string_pretty(report)?))
}

/// A line for each result.
pub(crate) fn summary(report: &ConvertReport, out: &mut dyn Write) -> io::Result<()> {
    for result in &report.results {
        let tensors = report.tensors.iter().filter(|tensor| tensor.result == result.path).count();
        write!(out, "wrote {}: {tensors} tensors, {} bytes", text(&result.path), result.size)?;
        if let Some(root) = &result.root {
            write!(out, ", all below {}", text(root))?;
        }
        if let Some(hash) = &result.sha256 {
            write!(out, ", sha256 {hash}")?;
        }
        writeln!(out)?;
    }
    if !report.aliases.is_empty() {
        let count = report.aliases.len();
        writeln!(
            out,
            "{count} names stand for a tensor that is written once (metadata; --expand-tied writes them all)"
        )?;
    }
    let left_out = report.left_out.len() as u64 + report.left_out_more;
    if left_out > 0 {
        writeln!(out, "{left_out} other values are left out (--report lists them)")?;
    }
    Ok(())
}

/// The plan, a row for each tensor.
pub(crate) fn table(report: &ConvertReport, out: &mut dyn Write) -> io::Result<()> {
    let shape = |shape: &[u64]| format!("[{}]", shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
    for result in &report.results {
        writeln!(out, "{}", text(&result.path))?;
        let tensors = || report.tensors.iter().filter(|tensor| tensor.result == result.path);
        let rows: Vec<[String; 5]> = tensors()
            .map(|tensor| {
                let source = match &tensor.member {
                    Some(member) => format!("{}+{}", text(member), tensor.offset),
                    None => format!("+{}", tensor.offset),
                };
                let name = text(&tensor.name).into_owned();
                [name, tensor.dtype.to_owned(), shape(&tensor.shape), tensor.bytes.to_string(), source]
            })
            .collect();
        let head = ["name", "dtype", "shape", "bytes", "from"].map(str::to_owned);
        let widths: Vec<usize> = (0..4)
            .map(|column| {
                let cells = rows.iter().chain([&head]).filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0).min(60)
            })
            .collect();
        for row in [&head].into_iter().chain(&rows) {
            let [name, dtype, shape, bytes, from] = row;
            let width = |column: usize| widths.get(column).copied().unwrap_or(0);
            let (a, b, c, d) = (width(0), width(1), width(2), width(3));
            writeln!(out, "  {name:<a$}  {dtype:<b$}  {shape:<c$}  {bytes:>d$}  {from}")?;
        }
    }
    for alias in &report.aliases {
        writeln!(out, "{} is {}", text(&alias.name), text(&alias.tensor))?;
    }
    for left in &report.left_out {
        writeln!(out, "left out: {}: {}", text(&left.name), text(&left.why.to_string()))?;
    }
    if report.left_out_more > 0 {
        writeln!(out, "left out: {} more", report.left_out_more)?;
    }
    Ok(())
}
