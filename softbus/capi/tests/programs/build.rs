//! Building programs against the libraries of this build.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

/// Where the shared libraries are.
pub(crate) struct Libraries {
    pub(crate) directory: PathBuf,
}

impl Libraries {
    /// Those of this build, in a directory of their own, as if they were installed. Cargo has built `libipc_capi.so` with
    /// this test, and no other package's: the rest is built here.
    pub(crate) fn get() -> &'static Self {
        static LIBRARIES: OnceLock<Libraries> = OnceLock::new();
        LIBRARIES.get_or_init(|| {
            let test = env::current_exe().unwrap();
            let dependencies = test.parent().unwrap();
            let profile = dependencies.parent().unwrap();
            let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let mut command = Command::new(cargo);
            command
                .args([
                    "build",
                    "--quiet",
                    "--offline",
                    "-p",
                    "softbus-child-process",
                ])
                .current_dir(env!("CARGO_MANIFEST_DIR"));
            if profile.file_name().is_some_and(|name| name == "release") {
                command.arg("--release");
            }
            run(&mut command);
            let directory = profile.join("capi-tests");
            fs::create_dir_all(&directory).unwrap();
            for file in [
                dependencies.join("libipc_capi.so"),
                profile.join("libchild_process.so"),
                profile.join("softbus-child"),
            ] {
                // Another name first: programs of other tests may have the file there in use.
                let name = file.file_name().unwrap();
                let new = directory.join(format!("{}.{}", name.display(), std::process::id()));
                fs::copy(&file, &new).unwrap();
                fs::rename(&new, directory.join(name)).unwrap();
            }
            Self { directory }
        })
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Language {
    C,
    Cpp,
}

/// A program and its libraries, in a directory of their own.
pub(crate) struct Program {
    directory: TempDir,
}

impl Program {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Where a file of this program is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Builds a shared library.
    pub(crate) fn library(&self, name: &str, source: &Path, language: Language) {
        let mut command = compiler(language);
        command.args(["-fPIC", "-shared", "-o"]);
        command.arg(self.path(name)).arg(source);
        run(with_libraries(&mut command));
    }

    /// Builds a program.
    pub(crate) fn program(&self, name: &str, source: &Path, language: Language) -> PathBuf {
        let path = self.path(name);
        let mut command = compiler(language);
        command.arg("-o").arg(&path).arg(source);
        run(with_libraries(&mut command));
        path
    }

    /// Writes a file of this program.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Runs a program that was built here.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("LD_LIBRARY_PATH", &Libraries::get().directory)
            .current_dir(self.directory.path());
        command
    }
}

fn compiler(language: Language) -> Command {
    let (compiler, standard) = match language {
        Language::C => ("gcc", "-std=c11"),
        Language::Cpp => ("g++", "-std=c++17"),
    };
    let mut command = Command::new(compiler);
    command
        .args([
            standard,
            "-D_GNU_SOURCE",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-g",
        ])
        .arg("-I")
        .arg(include());
    command
}

fn with_libraries(command: &mut Command) -> &mut Command {
    command.arg("-L").arg(&Libraries::get().directory).args([
        "-lipc_capi",
        "-lchild_process",
        "-lpthread",
    ])
}

/// The headers.
pub(crate) fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
}

/// A source of `tests/c`.
pub(crate) fn c_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/c")
        .join(name)
}

/// What a command prints. It has to succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}{err}");
    out
}
