//! The parts of ARCHITECTURE.md that are made from the sources: the table of crates, the floors of each, and the files that the page
//! names. A part stands between `<!-- NAME -->` and `<!-- end -->`.

use super::source::{Crate, Module};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The text between the marks of a part, replaced.
pub fn with_part(page: &str, name: &str, made: &str) -> Option<String> {
    let mark = format!("<!-- {name} -->\n");
    let start = page.find(&mark)? + mark.len();
    let end = start + page.get(start..)?.find("<!-- end -->")?;
    Some(format!("{}{made}{}", page.get(..start)?, page.get(end..)?))
}

/// The first sentence of a module's documentation.
fn purpose(root: &Path, path: &str) -> String {
    let text = fs::read_to_string(root.join(path)).expect("a source can be read");
    let doc: Vec<&str> = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    let doc = doc.split(|line| line.is_empty()).next().unwrap_or_default().join(" ");
    let end = doc.find(". ").map_or(doc.len(), |end| end + 1);
    doc.get(..end).unwrap_or(&doc).to_owned()
}

/// The rooms of a crate from the top floor down, each with its purpose.
pub fn floors(root: &Path, folder: &str, source: &Crate, floors: &[&[&str]]) -> String {
    let mut text = String::from("```text\n");
    let width = floors.iter().flat_map(|rooms| rooms.iter().map(|room| room.len())).max().unwrap_or(0);
    for (number, rooms) in floors.iter().enumerate().rev() {
        for (index, room) in rooms.iter().enumerate() {
            let floor = if index == 0 { format!("{:>2}", number + 1) } else { "  ".to_owned() };
            let module: Module = vec![(*room).to_owned()];
            let file = source.files.get(&module).unwrap_or_else(|| panic!("{folder} has no room {room}"));
            writeln!(text, "{floor}  {room:width$}  {}", purpose(root, &file.path)).expect("a String takes text");
        }
    }
    text.push_str("```\n");
    text
}

/// A table of the crates: folder, purpose, the crates of this workspace that it uses.
pub fn crate_table(root: &Path, folders: &[&str]) -> String {
    let mut text = String::from("| crate | purpose | uses |\n|---|---|---|\n");
    for folder in folders {
        let parent = folder.strip_suffix("src").unwrap_or(folder).trim_end_matches('/');
        let manifest = fs::read_to_string(root.join(parent).join("Cargo.toml")).expect("a crate has a manifest");
        let manifest: toml::Table = toml::from_str(&manifest).expect("a manifest is TOML");
        let purpose = manifest["package"]["description"].as_str().expect("a crate has a description");
        let table = manifest.get("dependencies").and_then(toml::Value::as_table);
        let own = |name: &&String| root.join(name.as_str()).join("Cargo.toml").is_file();
        let uses: Vec<String> =
            table.into_iter().flat_map(|table| table.keys()).filter(own).map(|name| format!("`{name}`")).collect();
        let name = if parent.is_empty() { "`src/` (the command)".to_owned() } else { format!("`{parent}/`") };
        writeln!(text, "| {name} | {purpose} | {} |", uses.join(", ")).expect("a String takes text");
    }
    text
}

/// The paths that a page names between backticks: with a slash, and below a folder of the repository. `my_...` is a placeholder.
pub fn named_paths<'a>(root: &Path, page: &'a str) -> Vec<&'a str> {
    let prose = page.split("```").step_by(2);
    let code = prose.flat_map(|text| text.split('`').skip(1).step_by(2));
    let below = |path: &&str| {
        let first = path.split('/').next().unwrap_or_default();
        path.contains('/')
            && !path.contains([' ', '*', '{', '<', ':'])
            && !path.contains("/my_")
            && root.join(first).exists()
    };
    code.filter(below).collect()
}
