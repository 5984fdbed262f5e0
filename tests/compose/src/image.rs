//! An image from programs that are built already: no registry, no compiler, nothing from a network.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{ComposeError, command::output};

const WITHIN: Duration = Duration::from_secs(120);

/// An image that is removed when this is dropped.
#[derive(Debug)]
pub struct Image {
    name: String,
}

impl Image {
    /// Builds the image `name` from the stage `local` of `dockerfile`: programs, in `/bin`, and the libraries they need.
    ///
    /// # Errors
    /// A program is not there, or the image cannot be built.
    pub fn build(
        name: &str,
        dockerfile: &Path,
        programs: &[PathBuf],
    ) -> Result<Self, ComposeError> {
        let context = tempfile::tempdir().map_err(|source| file(Path::new("."), source))?;
        let dist = context.path().join("dist");
        for program in programs {
            add(program, &dist)?;
        }
        copy(dockerfile, &context.path().join("Dockerfile"))?;
        let mut docker = Command::new("docker");
        docker
            .args(["build", "--quiet", "--target", "local", "--tag", name])
            .arg(context.path());
        output(docker, WITHIN)?;
        Ok(Self {
            name: name.to_owned(),
        })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of it.
    ///
    /// # Errors
    /// Docker does not answer.
    pub fn size(&self) -> Result<u64, ComposeError> {
        let mut docker = Command::new("docker");
        docker.args(["image", "inspect", "--format", "{{.Size}}", &self.name]);
        let size = output(docker, WITHIN)?;
        Ok(size.trim().parse().unwrap_or_default())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let mut docker = Command::new("docker");
        docker.args(["image", "rm", &self.name]);
        if let Err(error) = output(docker, WITHIN) {
            eprintln!("the image {} is left: {error}", self.name);
        }
    }
}

/// Puts a program where the image takes it from.
fn add(program: &Path, dist: &Path) -> Result<(), ComposeError> {
    if !program.exists() {
        return Err(ComposeError::NotBuilt {
            path: program.display().to_string(),
        });
    }
    let to = dist
        .join("bin")
        .join(program.file_name().unwrap_or_default());
    copy(program, &to)?;
    strip(&to);
    for library in libraries(program)? {
        let inside = library.strip_prefix("/").unwrap_or(&library);
        copy(&library, &dist.join(inside))?;
    }
    Ok(())
}

/// Debug information is of no use there, and most of a development build. Where `strip` is missing the image is larger.
fn strip(program: &Path) {
    let mut strip = Command::new("strip");
    strip.arg(program);
    if let Err(error) = output(strip, WITHIN) {
        eprintln!("not stripped: {error}");
    }
}

/// What the loader would load, and the loader.
fn libraries(program: &Path) -> Result<Vec<PathBuf>, ComposeError> {
    let mut ldd = Command::new("ldd");
    ldd.arg(program);
    let listed = output(ldd, WITHIN)?;
    let paths = listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    Ok(paths.map(PathBuf::from).collect())
}

fn copy(from: &Path, to: &Path) -> Result<(), ComposeError> {
    let directory = to.parent().unwrap_or(to);
    fs::create_dir_all(directory).map_err(|source| file(directory, source))?;
    fs::copy(from, to).map_err(|source| file(from, source))?;
    Ok(())
}

fn file(path: &Path, source: std::io::Error) -> ComposeError {
    ComposeError::File {
        path: path.display().to_string(),
        source,
    }
}
