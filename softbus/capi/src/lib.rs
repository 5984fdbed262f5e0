//! OpenHarmony's IPC Kit for C and C++: the functions of `IPCKit/ipc_kit.h` on the soft-bus, a logger, and what
//! OpenHarmony leaves to other kits (`softbus/device.h`). The headers in `include` say what each function promises;
//! the README says how to build with them. Nothing here is for Rust programs: they use `softbus`.
//!
//! | file | what for |
//! |---|---|
//! | `boundary.rs` | what comes from C and goes there: pointers, strings, panics |
//! | `handle.rs` | what C holds of our objects, and whether it is still one |
//! | `error.rs` | OpenHarmony's numbers, and which of our errors is which |
//! | `parcel.rs`, `parcel/` | `ipc_cparcel.h` |
//! | `remote.rs`, `remote/` | `ipc_cremote_object.h` |
//! | `skeleton.rs`, `skeleton/` | `ipc_cskeleton.h` |
//! | `runtime.rs` | where the bus lives, and how a thread of the application waits for it |
//! | `log.rs` | `hilog/log.h` |
//! | `device.rs` | `softbus/device.h` |
//! | `child.rs` | sessions of a process and the children it has started, for `libchild_process.so` |

mod boundary;
mod child;
mod device;
mod error;
mod handle;
mod log;
mod parcel;
mod remote;
mod runtime;
mod skeleton;
