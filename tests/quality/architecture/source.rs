//! The Rust sources of a crate, parsed: which module each file is, what it names, and where its functions begin and end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// A module path below the crate root: `["io", "source"]`. Empty for the root.
pub type Module = Vec<String>;

/// One file of a crate.
pub struct SourceFile {
    /// Path from the top of the repository, with `/`.
    pub path: String,
    /// Its module.
    pub module: Module,
    /// The items, without those for tests.
    pub items: Vec<syn::Item>,
}

/// All files of one crate.
pub struct Crate {
    /// The files, by module.
    pub files: BTreeMap<Module, SourceFile>,
}

/// All files with one of these extensions below a folder of the repository, sorted.
pub fn files_below(root: &Path, folder: &str, extensions: &[&str]) -> Vec<PathBuf> {
    let mut folders = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.expect("a folder can be listed").path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "__pycache__" {
                folders.push(path);
            } else if path.extension().is_some_and(|own| extensions.iter().any(|extension| own == *extension)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Whether an item exists for tests only.
pub fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|argument| argument.is_ident("test"))
    })
}

/// The attributes of an item that can be conditional.
fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        _ => &[],
    }
}

impl SourceFile {
    /// Parses the text of a file.
    pub fn parse(path: &str, module: Module, text: &str) -> Self {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{path} is not Rust: {error}"));
        let items = file.items.into_iter().filter(|item| !is_for_tests(attributes(item))).collect();
        Self { path: path.to_owned(), module, items }
    }
}

impl Crate {
    /// Reads the crate whose sources stand in `folder`. Files of tests (`*_tests.rs`) are left out.
    pub fn read(root: &Path, folder: &str) -> Self {
        let mut files = BTreeMap::new();
        for path in files_below(root, folder, &["rs"]) {
            let name = path.strip_prefix(root).expect("it is below the root").to_string_lossy().replace('\\', "/");
            let below = name.strip_prefix(folder).unwrap_or(&name).trim_start_matches('/');
            let mut module: Module = below.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if module.last().is_some_and(|last| last.ends_with("_tests") || last == "tests") {
                continue;
            }
            if module.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
                module.pop();
            }
            let text = fs::read_to_string(&path).expect("a source can be read");
            // A package with a library and a program has two roots; the second one only starts the first.
            files.entry(module.clone()).or_insert_with(|| SourceFile::parse(&name, module, &text));
        }
        assert!(!files.is_empty(), "nothing below {folder}");
        Self { files }
    }
}

/// A path that a file names, as segments, with the inline module that it is named in.
pub struct Named {
    /// The inline modules around it, outermost first.
    pub inline: Vec<String>,
    /// `["crate", "io", "source", "Source"]`.
    pub segments: Vec<String>,
}

/// Collects the paths that begin with `crate`, `super` or `self`, in `use` items, code, types and macro calls.
#[derive(Default)]
pub struct Paths {
    inline: Vec<String>,
    /// What was found.
    pub named: Vec<Named>,
}

impl Paths {
    /// The paths of a file.
    pub fn of(file: &SourceFile) -> Vec<Named> {
        let mut paths = Self::default();
        file.items.iter().for_each(|item| paths.visit_item(item));
        paths.named
    }

    fn add(&mut self, segments: Vec<String>) {
        // A keyword alone is a receiver or a visibility, not a dependency.
        if segments.len() > 1 && matches!(segments[0].as_str(), "crate" | "super" | "self") {
            self.named.push(Named { inline: self.inline.clone(), segments });
        }
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: String| [before, &[name]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(path.ident.to_string()), &path.tree),
            syn::UseTree::Name(name) => self.add(with(name.ident.to_string())),
            syn::UseTree::Rename(name) => self.add(with(name.ident.to_string())),
            syn::UseTree::Glob(_) => self.add(with("*".to_owned())),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(before, tree)),
        }
    }

    fn tokens(&mut self, tokens: proc_macro2::TokenStream) {
        let (mut path, mut colons): (Vec<String>, usize) = (Vec::new(), 0);
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Ident(ident) if colons == 2 && !path.is_empty() => {
                    path.push(ident.to_string());
                    colons = 0;
                    continue;
                }
                proc_macro2::TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                proc_macro2::TokenTree::Ident(ident) => {
                    self.add(std::mem::replace(&mut path, vec![ident.to_string()]));
                }
                proc_macro2::TokenTree::Group(group) => {
                    self.add(std::mem::take(&mut path));
                    self.tokens(group.stream());
                }
                _ => self.add(std::mem::take(&mut path)),
            }
            colons = 0;
        }
        self.add(path);
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.inline.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.inline.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree);
    }

    // `pub(super)` and `pub(in path)` name who may look, and depend on nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

/// A function and its length in lines, from its signature to its last brace.
pub struct Function {
    /// `path/of/file.rs::name`.
    pub name: String,
    /// Lines.
    pub lines: usize,
}

struct Functions<'a> {
    path: &'a str,
    found: Vec<Function>,
}

/// The functions of a file, those of tests left out.
pub fn functions(file: &SourceFile) -> Vec<Function> {
    let mut functions = Functions { path: &file.path, found: Vec::new() };
    file.items.iter().for_each(|item| functions.visit_item(item));
    functions.found
}

impl Functions<'_> {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.brace_token.span.close().end().line + 1 - signature.fn_token.span.start().line;
        self.found.push(Function { name: format!("{}::{}", self.path, signature.ident), lines });
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.add(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

/// Whether a file holds unsafe code: a block, a function, an implementation, a trait or a foreign block.
#[derive(Default)]
pub struct UnsafeCode(pub bool);

impl<'ast> Visit<'ast> for UnsafeCode {
    fn visit_expr_unsafe(&mut self, _: &'ast syn::ExprUnsafe) {
        self.0 = true;
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.0 |= signature.unsafety.is_some();
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.0 |= item.unsafety.is_some();
        visit::visit_item_impl(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.0 |= item.unsafety.is_some();
        visit::visit_item_trait(self, item);
    }

    fn visit_item_foreign_mod(&mut self, _: &'ast syn::ItemForeignMod) {
        self.0 = true;
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.0 |= call.tokens.to_string().contains("unsafe {");
        visit::visit_macro(self, call);
    }
}
