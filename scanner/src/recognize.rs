//! Which formats claim an artifact, which of them names it, and what its own name promises.

use crate::fact::{Deviation, Fact};
use crate::format::all::FORMATS;
use crate::format::{Format, Head, Recognition};
use crate::observe::format_info::FormatInfo;
use crate::observe::observations::RefinedFormat;

/// The formats that claim the bytes, the one that names the artifact first.
pub(crate) fn claiming_formats(head: &Head<'_>) -> Vec<&'static dyn Format> {
    let claims: Vec<(&dyn Format, Recognition)> =
        FORMATS.iter().map(|format| (*format, format.recognize(head))).collect();
    let by = |degree: Recognition| claims.iter().filter(move |claim| claim.1 == degree).map(|claim| claim.0);
    let certain: Vec<&dyn Format> = by(Recognition::Certain).collect();
    // A format that is found from the end of the file may follow any other one: a pickle in front of a zip is a polyglot.
    let formats: Vec<&dyn Format> = if certain.is_empty() {
        by(Recognition::Possible).take(1).collect()
    } else {
        let behind = by(Recognition::Possible).filter(|format| format.info().is_found_from_end);
        certain.into_iter().chain(behind).collect()
    };
    let refined: Vec<&str> = formats.iter().filter_map(|format| format.info().refines).map(|info| info.id).collect();
    formats.into_iter().filter(|format| !refined.contains(&format.info().id)).collect()
}

/// The format that names the artifact: the first one, or the special format that it turned out to be.
pub(crate) fn name_format(
    formats: &[&'static dyn Format],
    refined: Option<RefinedFormat>,
) -> Option<&'static FormatInfo> {
    let first = formats.first()?.info();
    Some(refined.filter(|refined| refined.general.id == first.id).map_or(first, |refined| refined.special))
}

/// Whether loading the bytes may run what they say, in one of these formats.
pub(crate) fn can_run_code(formats: &[&'static dyn Format]) -> bool {
    formats.iter().any(|format| format.info().can_run_code)
}

/// States that programs may load different things from the same bytes.
pub(crate) fn polyglot(formats: &[&'static dyn Format]) -> Option<Fact> {
    (can_run_code(formats) && formats.len() > 1)
        .then(|| Fact::Polyglot { formats: formats.iter().map(|format| format.info().id).collect() })
}

/// The format that alone has the extension of this name, and the extension.
pub(crate) fn promised_format(name: &str) -> Option<(&'static FormatInfo, &'static str)> {
    FORMATS.iter().map(|format| format.info()).filter(|info| info.promised_as.is_some()).find_map(|info| {
        let ends = |extension: &&&str| name.strip_suffix(**extension).is_some_and(|rest| rest.ends_with('.'));
        info.extensions.iter().find(ends).map(|extension| (info, *extension))
    })
}

/// Extensions of data that no program executes, of formats that have no reader here or any content.
const DATA_EXTENSIONS: [&str; 13] =
    ["gguf", "onnx", "json", "txt", "md", "yaml", "yml", "csv", "toml", "h5", "png", "jpg", "tflite"];

/// A name that promises data, for bytes that act when they are loaded or are of another format.
pub(crate) fn name_disagreement(name: &str, found: &FormatInfo, acts: bool) -> Option<Fact> {
    let name = name.to_ascii_lowercase();
    let claimed = match promised_format(&name) {
        Some((info, _)) if info.id != found.id && !found.is_pointer => info.promised_as?,
        Some(_) => return None,
        None => {
            let (_, extension) = name.rsplit_once('.')?;
            (acts && DATA_EXTENSIONS.contains(&extension)).then_some("a format that does not act when it is loaded")?
        }
    };
    let deviation = if acts { Deviation::Misleading } else { Deviation::Wrong };
    Some(Fact::NameDisagrees { claimed: claimed.to_owned(), found: found.id.to_owned(), deviation })
}
