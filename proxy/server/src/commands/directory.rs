//! `switchback serve`: the files of a directory, from a configuration built in code.

use std::io;
use std::path::{Path, PathBuf};

use switchback::Config;
use switchback_conf::model::{Files, FolderText, Listener, Route, Site, TemplateText};
use switchback_conf::plan::Autoindex;
use thiserror::Error;

use super::quick::{self, NotAnAddress};
use crate::cli;
use crate::exit::Exit;
use crate::output::fail;

/// Serves a directory, or prints the configuration that would.
pub(crate) fn serve(wanted: &cli::Serve) -> Exit {
    match configure(wanted) {
        Ok((config, root)) => {
            let encode = if wanted.encode { quick::ENCODED } else { "" };
            let told = format!("  files of {}\n{encode}", root.display());
            quick::start(config, &told, wanted.quick.print_config)
        }
        Err(error) => {
            fail(error);
            Exit::Usage
        }
    }
}

/// What cannot be understood of the command line.
#[derive(Debug, Error)]
enum Misread {
    #[error(transparent)]
    Listen(#[from] NotAnAddress),
    #[error("{}: {reason}", path.display())]
    Directory { path: PathBuf, reason: io::Error },
    #[error("{}: its name is not UTF-8, no configuration can say it", .0.display())]
    NotUtf8(PathBuf),
}

fn configure(wanted: &cli::Serve) -> Result<(Config, PathBuf), Misread> {
    let quick = &wanted.quick;
    let mut config = quick::config(quick.workers, quick.access_log.as_deref());
    config.listeners.push(Listener::new(quick::listen_address(&quick.listen)?).into());
    let root = directory(&wanted.directory)?;
    let mut files = Files::below(FolderText::from(root.as_path()));
    if wanted.browse {
        files.autoindex = Autoindex::Html;
    }
    if wanted.spa {
        // What is there is served as it is; every other path is the program's own.
        let listed = wanted.browse.then_some("$uri/");
        let tried = ["$uri"].into_iter().chain(listed).chain(["/index.html"]);
        files.candidates = tried.map(|path| TemplateText::from(path).into()).collect();
    }
    let mut route = Route::files(files);
    if wanted.encode {
        quick::encode(&mut route);
    }
    config.sites.push(Site::new([route]).into());
    Ok((config, root))
}

/// The whole path of a directory: the configuration that is printed may be used elsewhere.
fn directory(path: &Path) -> Result<PathBuf, Misread> {
    let whole = path.canonicalize().and_then(|whole| match whole.is_dir() {
        true => Ok(whole),
        false => Err(io::ErrorKind::NotADirectory.into()),
    });
    let whole = whole.map_err(|reason| Misread::Directory { path: path.to_owned(), reason })?;
    if whole.to_str().is_none() {
        return Err(Misread::NotUtf8(whole));
    }
    Ok(whole)
}
