//! The report of `inspect`: one line of JSON, or text.

use crate::escape::{self, text};
use scanner::report::{InspectReport, PickleReport};
use std::io::{self, Write};

/// One line of JSON.
pub(crate) fn json(report: &InspectReport, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", escape::json(&serde_json::to_string(report)?))
}

/// Text.
pub(crate) fn text_page(report: &InspectReport, out: &mut dyn Write) -> io::Result<()> {
    let InspectReport { path, format, members, pickles, tensors, not_read, .. } = report;
    writeln!(out, "file {}: {format}", text(path))?;
    for member in members {
        writeln!(out, "  member {}: {}, {} bytes", text(&member.member), member.format, member.size)?;
    }
    for pickle in pickles {
        write_pickle(pickle, out)?;
    }
    for tensor in tensors {
        writeln!(out, "  tensor {}: {} {:?}", text(&tensor.name), text(&tensor.dtype), tensor.shape)?;
    }
    for part in not_read {
        let shown_member = part.member.as_deref().map(|member| format!(" {}", text(member))).unwrap_or_default();
        let at = part.offset.map(|offset| format!(" from byte {offset:#x}")).unwrap_or_default();
        writeln!(out, "  not read{shown_member}{at}: {}", text(&part.reason))?;
    }
    Ok(())
}

fn write_pickle(pickle: &PickleReport, out: &mut dyn Write) -> io::Result<()> {
    let PickleReport { member, start, length, protocol, end, imports, calls, persistent_ids } = pickle;
    let shown_member = member.as_deref().map(|member| format!(" {}", text(member))).unwrap_or_default();
    writeln!(
        out,
        "  pickle{shown_member} at byte {start:#x}: {length} bytes, protocol {protocol}, ends: {}",
        text(end)
    )?;
    for import in imports {
        let part = |name: &Option<String>| name.as_deref().map_or("?".into(), |name| text(name).into_owned());
        let (module, name) = (part(&import.module), part(&import.name));
        writeln!(out, "    {:#06x} {} imports {module} {name}", import.offset, import.opcode)?;
    }
    for call in calls {
        let callable = call.callable.as_deref().map_or("?".into(), text);
        writeln!(out, "    {:#06x} {} calls {callable}", call.offset, call.opcode)?;
    }
    if *persistent_ids > 0 {
        writeln!(out, "    {persistent_ids} persistent ids")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use scanner::internal::observe::observations::Tensor;
    use scanner::report::{CallReport, ImportReport, MemberReport, NotRead};

    #[test]
    fn text_lists_everything_and_unknown_names() {
        let report = InspectReport {
            schema: InspectReport::SCHEMA,
            path: "a\n.pt".into(),
            format: "torch-zip",
            members: vec![MemberReport { member: "archive/data.pkl".into(), size: 300, format: "pickle" }],
            pickles: vec![PickleReport {
                member: Some("archive/data.pkl".into()),
                start: 0,
                length: 300,
                protocol: 2,
                end: "stop".into(),
                imports: vec![ImportReport {
                    module: Some("os".into()),
                    name: None,
                    offset: 40,
                    opcode: "STACK_GLOBAL",
                }],
                calls: vec![CallReport { callable: None, offset: 120, opcode: "REDUCE" }],
                persistent_ids: 3,
            }],
            tensors: vec![Tensor { name: "w".into(), dtype: "F32".into(), shape: vec![2, 2] }],
            not_read: vec![NotRead { member: Some("x".into()), offset: None, reason: "encrypted".into() }],
        };
        let mut out = Vec::new();
        text_page(&report, &mut out).expect("memory writes");
        let expected = "\
file a\\n.pt: torch-zip
  member archive/data.pkl: pickle, 300 bytes
  pickle archive/data.pkl at byte 0x0: 300 bytes, protocol 2, ends: stop
    0x0028 STACK_GLOBAL imports os ?
    0x0078 REDUCE calls ?
    3 persistent ids
  tensor w: F32 [2, 2]
  not read x: encrypted
";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
