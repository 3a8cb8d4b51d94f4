//! The graph of imports of a crate: which file names which, and the rooms (top folders and files) that they stand in.

use super::source::{Crate, Module, Paths, SourceFile};
use std::collections::{BTreeMap, BTreeSet};

/// Which file names which, by module.
pub struct Graph(BTreeMap<Module, BTreeSet<Module>>);

/// A module path as people write it.
pub fn shown(module: &Module) -> String {
    if module.is_empty() { "(root)".to_owned() } else { module.join("::") }
}

/// The room of a module: its first segment.
fn room(module: &Module) -> &str {
    module.first().map_or("(root)", String::as_str)
}

/// The segments from the crate root of a path that is named in `file`, or `None` if it leads out of the crate.
fn absolute(file: &SourceFile, inline: &[String], segments: &[String]) -> Option<Module> {
    let mut base: Module = Vec::new();
    let mut rest = segments;
    if segments.first().is_some_and(|first| first == "crate") {
        rest = &segments[1..];
    } else {
        base = file.module.iter().chain(inline).cloned().collect();
        while let Some(first) = rest.first() {
            match first.as_str() {
                "self" => {}
                "super" => {
                    base.pop()?;
                }
                _ => break,
            }
            rest = &rest[1..];
        }
    }
    base.extend(rest.iter().filter(|segment| *segment != "*").cloned());
    Some(base)
}

/// The longest part of a path that is a file.
fn file_of(source: &Crate, path: &Module) -> Module {
    let longest = (0..=path.len()).rev().find(|length| source.files.contains_key(&path[..*length]));
    path[..longest.unwrap_or(0)].to_vec()
}

/// What the `pub use` items of a module hand on: the name here, and the path of what it is.
fn reexports(file: &SourceFile) -> Vec<(String, Module)> {
    fn tree(before: &[String], tree_: &syn::UseTree, found: &mut Vec<(String, Vec<String>)>) {
        let with = |name: String| [before, &[name]].concat();
        match tree_ {
            syn::UseTree::Path(path) => tree(&with(path.ident.to_string()), &path.tree, found),
            syn::UseTree::Name(name) => found.push((name.ident.to_string(), with(name.ident.to_string()))),
            syn::UseTree::Rename(name) => found.push((name.rename.to_string(), with(name.ident.to_string()))),
            syn::UseTree::Glob(_) => {}
            syn::UseTree::Group(group) => group.items.iter().for_each(|one| tree(before, one, found)),
        }
    }
    let mut found = Vec::new();
    for item in &file.items {
        if let syn::Item::Use(item) = item
            && !matches!(item.vis, syn::Visibility::Inherited)
        {
            tree(&[], &item.tree, &mut found);
        }
    }
    let known = |first: &String| matches!(first.as_str(), "crate" | "super" | "self");
    let full = |segments: Vec<String>| match segments.first() {
        Some(first) if known(first) => absolute(file, &[], &segments),
        _ => Some(file.module.iter().cloned().chain(segments).collect()),
    };
    found.into_iter().filter_map(|(name, segments)| Some((name, full(segments)?))).collect()
}

impl Graph {
    /// Reads the graph of a crate. A name that a module hands on leads to the file that defines it.
    pub fn of(source: &Crate) -> Self {
        let handed_on: BTreeMap<&Module, Vec<(String, Module)>> =
            source.files.iter().map(|(module, file)| (module, reexports(file))).collect();
        let resolve = |path: Module| {
            let (mut path, mut file) = (path.clone(), file_of(source, &path));
            // A chain of re-exports is short; the bound only ends a wrong one.
            for _ in 0..8 {
                let Some(name) = path.get(file.len()) else { break };
                let Some((_, target)) = handed_on[&file].iter().find(|(own, _)| own == name) else { break };
                let next: Module = target.iter().chain(&path[file.len() + 1..]).cloned().collect();
                if !source.files.contains_key(&next[..1.min(next.len())]) || next == path {
                    break;
                }
                path = next;
                file = file_of(source, &path);
            }
            file
        };
        let mut edges = BTreeMap::new();
        for (module, file) in &source.files {
            let named = Paths::of(file);
            let targets = named.iter().filter_map(|path| absolute(file, &path.inline, &path.segments)).map(resolve);
            edges.insert(module.clone(), targets.filter(|target| target != module).collect());
        }
        Self(edges)
    }

    /// The circles: groups of files that reach each other.
    pub fn cycles(&self) -> Vec<Vec<String>> {
        let reach = |from: &Module| {
            let (mut seen, mut todo) = (BTreeSet::new(), vec![from]);
            while let Some(module) = todo.pop() {
                for next in self.0.get(module).into_iter().flatten() {
                    if seen.insert(next) {
                        todo.push(next);
                    }
                }
            }
            seen
        };
        let reached: BTreeMap<&Module, BTreeSet<&Module>> =
            self.0.keys().map(|module| (module, reach(module))).collect();
        let mut cycles: BTreeSet<Vec<String>> = BTreeSet::new();
        for (module, seen) in &reached {
            let circle = seen.iter().filter(|other| reached[**other].contains(*module));
            let circle: Vec<String> = circle.map(|module| shown(module)).collect();
            if circle.len() > 1 {
                cycles.insert(circle);
            }
        }
        cycles.into_iter().collect()
    }

    /// The arrows between files that lead from a floor to one above it. `floors` lists the rooms from the ground up; rooms of
    /// one floor do not name each other. Every room must be listed, and every listed room must exist.
    pub fn upward(&self, floors: &[&[&str]]) -> Vec<String> {
        let floor_of: BTreeMap<&str, usize> =
            floors.iter().enumerate().flat_map(|(floor, rooms)| rooms.iter().map(move |room| (*room, floor))).collect();
        let rooms: BTreeSet<&str> = self.0.keys().map(room).filter(|room| *room != "(root)").collect();
        let mut wrong: Vec<String> = Vec::new();
        wrong.extend(
            rooms.iter().filter(|room| !floor_of.contains_key(**room)).map(|room| format!("{room} has no floor")),
        );
        wrong.extend(
            floor_of.keys().filter(|room| !rooms.contains(**room)).map(|room| format!("{room} does not exist")),
        );
        for (module, targets) in &self.0 {
            for target in targets {
                let (from, to) = (room(module), room(target));
                // The root declares the rooms and may name all of them.
                if from == to || module.is_empty() {
                    continue;
                }
                let down = floor_of.get(from).zip(floor_of.get(to)).is_some_and(|(from, to)| from > to);
                if !down {
                    wrong.push(format!("{} -> {}", shown(module), shown(target)));
                }
            }
        }
        wrong
    }
}
