//! The program that a native child process runs: loads a library, connects its stub with the parent, and runs its main
//! procedure. Started by `libchild_process.so`, not by people.
//!
//! Unsafe, because it runs code of libraries, by functions whose types it can only believe.
#![expect(unsafe_code, reason = "loads libraries and calls their functions")]

use std::{
    env,
    ffi::{OsStr, OsString, c_int, c_void},
    mem,
    process::ExitCode,
    ptr,
};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW, Symbol};

/// `NCP_ERR_LIB_LOADING_FAILED` and `NCP_ERR_CONNECTION_FAILED`.
const LIB_LOADING_FAILED: c_int = 16_010_007;
const CONNECTION_FAILED: c_int = 16_010_008;
const NO_ERROR: c_int = 0;

type OnConnect = unsafe extern "C" fn() -> *mut c_void;
type MainProc = unsafe extern "C" fn();
type Report = unsafe extern "C" fn(c_int, i32, c_int, *const c_void) -> c_int;
type Leave = unsafe extern "C" fn();

/// What the parent says on the command line.
struct Arguments {
    socket: c_int,
    parent: i32,
    capi: OsString,
    child_process: OsString,
    library: OsString,
    beside: OsString,
}

impl Arguments {
    fn read() -> Option<Self> {
        let mut arguments = env::args_os().skip(1);
        let mut number = || arguments.next()?.to_str()?.parse().ok();
        let (socket, parent) = (number()?, number()?);
        Some(Self {
            socket,
            parent,
            capi: arguments.next()?,
            child_process: arguments.next()?,
            library: arguments.next()?,
            beside: arguments.next()?,
        })
    }
}

fn main() -> ExitCode {
    let Some(arguments) = Arguments::read() else {
        eprintln!("softbus-child is started by libchild_process.so");
        return ExitCode::from(2);
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("softbus-child: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), libloading::Error> {
    let capi = load(&arguments.capi)?;
    // Before the library, which may ask for it by its name alone.
    mem::forget(load(&arguments.child_process)?);
    // SAFETY: the types of `softbus/child.h`, which is that library's.
    let (report, leave) = unsafe {
        let report: Symbol<Report> = capi.get(b"SoftBus_Child_Report\0")?;
        let leave: Symbol<Leave> = capi.get(b"SoftBus_Child_Leave\0")?;
        (report, leave)
    };
    let report = |error, stub| {
        // SAFETY: the socket is ours to give away, and this is done once.
        unsafe { report(arguments.socket, arguments.parent, error, stub) }
    };
    let (connect, main_proc) = match functions(arguments) {
        Ok(functions) => functions,
        Err(error) => {
            report(LIB_LOADING_FAILED, ptr::null());
            return Err(error);
        }
    };
    // SAFETY: of the type that `native_child_process.h` asks of the library, as the next one.
    let stub = unsafe { connect() };
    let error = if stub.is_null() {
        CONNECTION_FAILED
    } else {
        NO_ERROR
    };
    if report(error, stub) != NO_ERROR || error != NO_ERROR {
        if error == NO_ERROR {
            eprintln!(
                "softbus-child: not connected: {}",
                arguments.library.display()
            );
        }
        return Ok(());
    }
    // SAFETY: as above.
    unsafe { main_proc() };
    // SAFETY: of the header's type.
    unsafe { leave() };
    Ok(())
}

/// The two functions of the library that the parent has named.
fn functions(arguments: &Arguments) -> Result<(OnConnect, MainProc), libloading::Error> {
    let library = load(&arguments.library).or_else(|error| {
        // What was found and is broken is said; what was not found may be beside the program.
        load(&arguments.beside).map_err(|beside| {
            eprintln!("softbus-child: {beside}");
            error
        })
    })?;
    // SAFETY: the types that `native_child_process.h` asks of the library.
    let functions = unsafe {
        let connect: Symbol<OnConnect> = library.get(b"NativeChildProcess_OnConnect\0")?;
        let main_proc: Symbol<MainProc> = library.get(b"NativeChildProcess_MainProc\0")?;
        (*connect, *main_proc)
    };
    // Never unloaded: threads may be in it until the process ends.
    mem::forget(library);
    Ok(functions)
}

/// A library, with its names for those that are loaded after it. It stays.
fn load(path: &OsStr) -> Result<Library, libloading::Error> {
    // SAFETY: its constructors run, as those of any program that links with it.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }
}
