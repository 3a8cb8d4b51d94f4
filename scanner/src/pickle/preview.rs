//! A value as Python would write it, short enough for one line of a report.

use super::trace::Trace;
use super::value::{Call, CallKind, ContainerKind, Node, Value};
use crate::io::bounds::pickle::{MAX_PREVIEW_CHARS, MAX_PREVIEW_DEPTH, MAX_PREVIEW_ITEMS, MAX_PREVIEW_TEXT_CHARS};
use crate::io::source::read_vec;

/// A call as it would be written: `posix.system('id')`.
pub fn call(trace: &Trace, how: CallKind, callee: Value, args: Value) -> String {
    let mut out = String::new();
    write_call(trace, how, callee, args, MAX_PREVIEW_DEPTH, &mut out);
    cut(out)
}

/// A value as it would be written.
pub fn value(trace: &Trace, value: Value) -> String {
    let mut out = String::new();
    write(trace, value, MAX_PREVIEW_DEPTH, &mut out);
    cut(out)
}

fn cut(mut out: String) -> String {
    if out.chars().count() > MAX_PREVIEW_CHARS {
        out = out.chars().take(MAX_PREVIEW_CHARS).collect();
        out.push_str("...");
    }
    out
}

fn write_call(trace: &Trace, how: CallKind, callee: Value, args: Value, depth: usize, out: &mut String) {
    if how == CallKind::Persistent {
        out.push_str("persistent_load(");
        write(trace, args, depth, out);
        out.push(')');
        return;
    }
    write(trace, callee, depth, out);
    let method = match how {
        CallKind::Reduce | CallKind::Instance | CallKind::Persistent | CallKind::Extension => "",
        CallKind::New | CallKind::NewEx => ".__new__",
        CallKind::Build => ".__setstate__",
        CallKind::Append => ".append",
        CallKind::Add => ".add",
        CallKind::SetItem => ".__setitem__",
        CallKind::Hash => ".__hash__",
        CallKind::Delete => ".__del__",
    };
    out.push_str(method);
    let is_constructor = matches!(how, CallKind::Reduce | CallKind::Instance | CallKind::New | CallKind::NewEx);
    match (is_constructor, args) {
        (true, Value::Node(id))
            if matches!(trace.heap.get(id), Some(Node::Container { kind: ContainerKind::Tuple, .. })) =>
        {
            write(trace, args, depth, out);
            if out.ends_with(",)") {
                out.truncate(out.len() - 2);
                out.push(')');
            }
        }
        (true, _) => {
            out.push_str("(*");
            write(trace, args, depth, out);
            out.push(')');
        }
        (false, Value::None) if matches!(how, CallKind::Hash | CallKind::Delete) => out.push_str("()"),
        (false, _) => {
            out.push('(');
            write(trace, args, depth, out);
            out.push(')');
        }
    }
}

// The recursion is bounded by MAX_PREVIEW_DEPTH, whatever the input.
fn write(trace: &Trace, value: Value, depth: usize, out: &mut String) {
    if out.len() > MAX_PREVIEW_CHARS * 4 {
        return;
    }
    match value {
        Value::None => out.push_str("None"),
        Value::Bool(value) => out.push_str(if value { "True" } else { "False" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::BigInt { .. } => out.push_str("<large int>"),
        Value::Float(value) => out.push_str(&format!("{value:?}")),
        Value::Text { len, at, encoding } => {
            let shown =
                read_vec(trace.source.as_ref(), at, (len as usize).min(MAX_PREVIEW_TEXT_CHARS * 4)).unwrap_or_default();
            let text = super::text::decode(encoding, &shown);
            let text = text.unwrap_or_else(|| String::from_utf8_lossy(&shown).into_owned());
            quote(&text, len as usize > shown.len(), out);
        }
        Value::Bytes { len, at } => {
            let shown =
                read_vec(trace.source.as_ref(), at, (len as usize).min(MAX_PREVIEW_TEXT_CHARS / 2)).unwrap_or_default();
            out.push_str("b'");
            out.push_str(&shown.escape_ascii().to_string());
            out.push_str(if len as usize > shown.len() { "'..." } else { "'" });
        }
        Value::Global(id) => out.push_str(&trace.callable_name(id)),
        Value::Opaque(_) | Value::Unknown => out.push_str("..."),
        Value::Instance(id) => {
            out.push_str(&trace.callable_name(id));
            out.push_str("(...)");
        }
        Value::Node(_) if depth == 0 => out.push_str("..."),
        Value::Node(id) => match trace.heap.get(id) {
            Some(Node::Container { kind, items }) => {
                let (open, close) = match kind {
                    ContainerKind::Tuple => ("(", if items.total == 1 { ",)" } else { ")" }),
                    ContainerKind::List => ("[", "]"),
                    ContainerKind::Dict | ContainerKind::Set => ("{", "}"),
                    ContainerKind::FrozenSet => ("frozenset({", "})"),
                };
                out.push_str(open);
                list(trace, &items.kept, *kind == ContainerKind::Dict, items.total, depth, out);
                out.push_str(close);
            }
            Some(Node::Call(call)) => {
                let Call { how, callee, args, .. } = **call;
                write_call(trace, how, callee, args, depth - 1, out);
            }
            None => out.push_str("..."),
        },
    }
}

fn list(trace: &Trace, items: &[Value], pairs: bool, total: u64, depth: usize, out: &mut String) {
    let shown = if pairs { MAX_PREVIEW_ITEMS * 2 } else { MAX_PREVIEW_ITEMS };
    for (index, item) in items.iter().take(shown).enumerate() {
        if index > 0 {
            out.push_str(if pairs && index % 2 == 1 { ": " } else { ", " });
        }
        write(trace, *item, depth - 1, out);
    }
    if total > shown as u64 {
        out.push_str(", ...");
    }
}

fn quote(text: &str, more: bool, out: &mut String) {
    out.push('\'');
    for character in text.chars().take(MAX_PREVIEW_TEXT_CHARS) {
        match character {
            '\'' => out.push_str("\\'"),
            '\\' => out.push_str("\\\\"),
            _ if character.is_control() => out.extend(character.escape_default()),
            _ => out.push(character),
        }
    }
    out.push_str(if more || text.chars().count() > MAX_PREVIEW_TEXT_CHARS { "'..." } else { "'" });
}
