//! A wall clock that jumps. The kernel has no such clock for a namespace, so a library that is loaded before all others puts it forward
//! and back for one program.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

/// The wall clock of a program.
#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    file: PathBuf,
}

impl WallClock {
    /// Made below a directory, by the C compiler.
    pub fn make(directory: &Path) -> io::Result<Self> {
        let library = directory.join("wall_clock.so");
        let source = directory.join("wall_clock.c");
        fs::write(&source, include_str!("wall_clock.c"))?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]);
        let compiled = compiler.args([&library, &source]).status()?;
        if !compiled.success() {
            return Err(io::Error::other("the C compiler failed"));
        }
        Ok(Self {
            library,
            file: directory.join("jumped"),
        })
    }

    /// It is this many seconds ahead of that of everybody else from now on.
    pub fn jump(&self, seconds: i64) -> io::Result<()> {
        // At once, also for who reads it now.
        let new = self.file.with_extension("new");
        fs::write(&new, seconds.to_string())?;
        fs::rename(new, &self.file)
    }

    /// A program that is yet to start goes by it.
    pub fn wind(&self, program: &mut Command) {
        program.env("LD_PRELOAD", &self.library);
        program.env("WALL_CLOCK", &self.file);
    }
}
