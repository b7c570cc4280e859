//! From a name to everything that the profile and those it extends say.
//!
//! A bare name (`untrusted`, `untrusted.toml`) is a built-in profile or one that [`Files::lookup_profile`]
//! finds; it is never looked for in the working directory, which may belong to whoever wrote the guest. A
//! path has a slash in it (`./local.toml`) and, in `extends`, is relative to the directory of the file that
//! names it.
//!
//! What a profile extends lies below it in the stack of layers, each profile once: a diamond adds its top
//! only one time, and a profile's own scalars always win over those that it extends.

pub(crate) mod builtin;
pub(crate) mod files;
pub(crate) mod overrides;

use std::io;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::load::builtin::{builtin, builtin_names};
use crate::load::files::{Files, resolve};
use crate::pattern::path::components;
use crate::pattern::variables::os;
use crate::profile::keys::Profile;
use crate::profile::reader;
use crate::report::ledger::{Context, Item, Span};
use crate::report::suggest;

/// Profiles that extend one another deeper than this are taken for a cycle that goes by ever new names.
const MAX_DEPTH: usize = 32;

/// A profile that was found.
struct Found {
    /// What makes it the same profile again, and the name to show.
    path: PathBuf,
    /// Where relative paths in it start; a built-in profile has none.
    directory: Option<PathBuf>,
    text: String,
}

/// Loads profiles.
pub(crate) struct Loader<'a> {
    files: &'a dyn Files,
    pub(crate) context: Context,
    /// What was read, each profile after those that it extends.
    pub(crate) layers: Vec<Profile>,
    /// The files of them; built-in profiles have none.
    read: Vec<PathBuf>,
    done: Vec<PathBuf>,
    open: Vec<PathBuf>,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(files: &'a dyn Files) -> Self {
        let (read, done, open) = (Vec::new(), Vec::new(), Vec::new());
        Self { files, context: Context::default(), layers: Vec::new(), read, done, open }
    }

    /// Loads the profile that the command line names.
    pub(crate) fn root(&mut self, name: &str) {
        let span = self.context.option("--profile", name);
        self.load(name, Some(Path::new("")), span);
    }

    /// The files that were read, and where further profiles would be looked up, as they were named.
    pub(crate) fn own_files(&self) -> Vec<PathBuf> {
        self.read.iter().cloned().chain(self.files.profile_folders()).collect()
    }

    fn load(&mut self, name: &str, directory: Option<&Path>, span: Span) {
        let found = match self.find(name, directory) {
            Ok(found) => found,
            Err((message, help)) => return self.context.error(span, message, help),
        };
        // A file has a directory, and so another name than any built-in profile.
        let built_in = found.directory.is_none();
        let identity = if built_in { found.path.clone() } else { self.identity(&found.path) };
        if let Some(at) = self.open.iter().position(|p| *p == identity) {
            let names = self.open[at..].iter().chain([&identity]).map(|p| p.display().to_string());
            let cycle = names.collect::<Vec<_>>().join(" → ");
            return self.context.error(span, format!("`extends` goes in a circle: {cycle}"), None);
        }
        if self.open.len() >= MAX_DEPTH {
            return self.context.error(
                span,
                format!("`extends` goes deeper than {MAX_DEPTH} profiles"),
                None,
            );
        }
        if self.done.contains(&identity) {
            return;
        }
        self.open.push(identity);
        self.read(found);
        self.done.extend(self.open.pop());
    }

    fn read(&mut self, found: Found) {
        if found.directory.is_some() {
            self.read.push(found.path.clone());
        }
        let source = self.context.profile(found.path.display().to_string(), found.text.clone());
        // The errors of syntax after the first are mostly its consequences.
        let document = match DeTable::parse(&found.text) {
            Ok(document) => document,
            Err(error) => {
                let range = error.span().unwrap_or(0..0);
                return self.context.error(Span { source, range }, error.message(), None);
            }
        };
        let profile = reader::read(&mut self.context, source, &document);
        for Item { value, rule } in &profile.extends[..] {
            if let Some(span) = self.context.span(*rule) {
                self.load(&value.0, found.directory.as_deref(), span);
            }
        }
        self.context.layer(source);
        self.layers.push(profile);
    }

    fn find(&self, name: &str, directory: Option<&Path>) -> Result<Found, (String, Option<String>)> {
        if name.contains('\0') {
            return Err(("a name with a NUL byte".to_owned(), None));
        }
        if name.contains('/') {
            return self.find_file(name, directory);
        }
        let bare = name.strip_suffix(".toml").unwrap_or(name);
        if let Some(text) = builtin(bare) {
            let path = format!("{bare}.toml").into();
            return Ok(Found { path, directory: None, text: text.to_owned() });
        }
        match self.files.lookup_profile(bare) {
            Some((path, text)) => {
                let directory = path.parent().map(Path::to_owned);
                Ok(Found { path, directory, text })
            }
            None => {
                let help = suggest::did_you_mean(bare, builtin_names())
                    .unwrap_or_else(|| format!("to load a file, write its path: `./{name}`"));
                Err((format!("there is no profile called `{bare}`"), Some(help)))
            }
        }
    }

    fn find_file(&self, name: &str, directory: Option<&Path>) -> Result<Found, (String, Option<String>)> {
        // Through its components the path loses every `.` in its middle.
        let Some(path) = directory.map(|d| d.join(name).components().collect::<PathBuf>()) else {
            return Err(("a built-in profile extends only bare names".to_owned(), None));
        };
        match self.files.read(&path) {
            Ok(text) => Ok(Found { directory: path.parent().map(Path::to_owned), path, text }),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err((format!("{} is no UTF-8 text", path.display()), None))
            }
            Err(error) => Err((format!("cannot read {}: {error}", path.display()), None)),
        }
    }

    /// The same file under the same name, whatever links and dots lead to it; of a relative path, which only
    /// the command line gives, what the names alone tell.
    fn identity(&self, path: &Path) -> PathBuf {
        let names = || components(path.as_os_str().as_encoded_bytes());
        if !path.is_absolute() {
            return names().filter(|n| *n != b".").fold(PathBuf::from("."), |mut path, name| {
                match name {
                    b".." if path.file_name().is_some() => drop(path.pop()),
                    _ => path.push(os(name)),
                }
                path
            });
        }
        resolve(names(), self.files, &|_| true).unwrap_or_else(|| path.to_owned())
    }
}
