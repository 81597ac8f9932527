//! Which file of the library imports which other one. Pure: the text of the files in, the imports out.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Attribute, Item, UseTree, visit::Visit};

/// A module by its path from the root.
type Module = Vec<String>;

/// The imports of the files, by their paths.
pub(crate) struct Graph {
    imports: BTreeMap<String, BTreeSet<String>>,
}

/// One file: its module, what it names, and what it names for others.
struct File {
    module: Module,
    /// Paths as they are written, and the module that they are seen from.
    paths: Vec<(Module, Vec<String>)>,
    /// The name that a `pub use` gives, and the path that it stands for.
    exports: BTreeMap<String, Vec<String>>,
}

impl Graph {
    /// The imports in `sources`, which are files by their path. Tests are left out.
    pub(crate) fn of(sources: &BTreeMap<String, String>) -> Self {
        let files: BTreeMap<&str, File> = sources
            .iter()
            .filter(|(path, _)| !path.contains("tests") && *path != "main.rs")
            .map(|(path, text)| (path.as_str(), File::read(path, text)))
            .collect();
        let modules: BTreeMap<&Module, &str> = files.iter().map(|(path, file)| (&file.module, *path)).collect();
        let imports = files.iter().map(|(path, file)| {
            let found = file.paths.iter().filter_map(|(from, written)| target(from, written, &modules, &files, 8));
            ((*path).to_owned(), found.filter(|other| other != path).map(str::to_owned).collect())
        });
        Self { imports: imports.collect() }
    }

    /// Every import.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        self.imports.iter().flat_map(|(from, others)| others.iter().map(move |to| (from.as_str(), to.as_str())))
    }

    /// The imports of something that is on a higher floor.
    pub(crate) fn upward(&self, floors: &[(&str, u8)]) -> Vec<String> {
        let floor = |path: &str| {
            let module = path.split('/').next().unwrap_or_default().trim_end_matches(".rs");
            floors.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
        };
        let above = self.edges().filter(|(from, to)| floor(to) > floor(from) && *from != "lib.rs");
        above.map(|(from, to)| format!("{from} imports {to}, which is a floor above it")).collect()
    }

    /// Files that import each other, directly or through others.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let reaches: BTreeMap<&str, BTreeSet<&str>> =
            self.imports.keys().map(|from| (from.as_str(), self.reached(from))).collect();
        let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
        for (from, reached) in &reaches {
            if reached.contains(from) {
                let mutual = reached.iter().filter(|to| reaches.get(**to).is_some_and(|back| back.contains(from)));
                circles.insert(mutual.map(|to| (*to).to_owned()).collect());
            }
        }
        circles.into_iter().collect()
    }

    fn reached<'a>(&'a self, from: &str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&str> = self.imports.get(from).into_iter().flatten().map(String::as_str).collect();
        while let Some(file) = next.pop() {
            if reached.insert(file) {
                next.extend(self.imports.get(file).into_iter().flatten().map(String::as_str));
            }
        }
        reached
    }
}

impl File {
    fn read(path: &str, text: &str) -> Self {
        let mut module: Module = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
            module.pop();
        }
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut reader = Reader { module: module.clone(), paths: Vec::new(), exports: BTreeMap::new() };
        reader.visit_file(&parsed);
        Self { module, paths: reader.paths, exports: reader.exports }
    }
}

/// Collects the paths of one file.
struct Reader {
    module: Module,
    paths: Vec<(Module, Vec<String>)>,
    exports: BTreeMap<String, Vec<String>>,
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(module) if is_test(&module.attrs) => {}
            Item::Use(import) if is_test(&import.attrs) => {}
            Item::Use(import) => {
                let exports = !matches!(import.vis, syn::Visibility::Inherited);
                for (path, name) in flat(&import.tree) {
                    if exports {
                        self.exports.insert(name, path);
                    } else {
                        self.paths.push((self.module.clone(), path));
                    }
                }
            }
            other => syn::visit::visit_item(self, other),
        }
    }

    /// The visibility of an item is no import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.push((self.module.clone(), path.segments.iter().map(|segment| segment.ident.to_string()).collect()));
        syn::visit::visit_path(self, path);
    }
}

/// The paths of an import, each with the name that it gives.
fn flat(tree: &UseTree) -> Vec<(Vec<String>, String)> {
    match tree {
        UseTree::Path(path) => {
            let ident = path.ident.to_string();
            let under = |(mut rest, name): (Vec<String>, String)| {
                let name = if rest == ["self"] { ident.clone() } else { name };
                rest.insert(0, ident.clone());
                (rest, name)
            };
            flat(&path.tree).into_iter().map(under).collect()
        }
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], name.ident.to_string())],
        UseTree::Rename(rename) => vec![(vec![rename.ident.to_string()], rename.rename.to_string())],
        UseTree::Glob(_) => Vec::new(),
        UseTree::Group(group) => group.items.iter().flat_map(flat).collect(),
    }
}

/// The file that has what `written` names where it is seen from module `from`; re-exports are followed.
fn target<'a>(
    from: &Module,
    written: &[String],
    modules: &BTreeMap<&Module, &'a str>,
    files: &BTreeMap<&'a str, File>,
    depth: u8,
) -> Option<&'a str> {
    let (first, mut rest) = written.split_first()?;
    let mut module = match first.as_str() {
        "crate" => Module::new(),
        "self" => from.clone(),
        "super" => from.split_last()?.1.to_vec(),
        child => {
            let mut module = from.clone();
            module.push(child.to_owned());
            modules.contains_key(&module).then_some(module)?
        }
    };
    while let Some((next, after)) = rest.split_first() {
        let mut child = module.clone();
        if next == "super" {
            module.pop();
        } else {
            child.push(next.clone());
            if !modules.contains_key(&child) {
                break;
            }
            module = child;
        }
        rest = after;
    }
    let file = modules.get(&module).copied()?;
    let exported = rest.first().filter(|_| depth > 0).and_then(|name| files.get(file)?.exports.get(name));
    match exported {
        Some(path) => target(&module, path, modules, files, depth - 1),
        None => Some(file),
    }
}
