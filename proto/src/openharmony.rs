//! OpenHarmony's numbers that appear on our wire or in our types. They stand here, and in the C API's error file, and
//! nowhere else.

/// Flags and bounds of a message option (`ipc_core/include/message_option.h`).
pub mod message_option {
    /// Wait for the reply.
    pub const TF_SYNC: u32 = 0x00;
    /// One-way.
    pub const TF_ASYNC: u32 = 0x01;
    /// The reply carries only a status.
    pub const TF_STATUS_CODE: u32 = 0x08;
    /// File descriptors are accepted.
    pub const TF_ACCEPT_FDS: u32 = 0x10;
    /// Update of a frozen process.
    pub const TF_UPDATE_TXN: u32 = 0x40;
    /// One-way, and the callee need not be woken at once.
    pub const TF_ASYNC_WAKEUP_LATER: u32 = 0x10_0000;
    /// Snapshot traffic.
    pub const TF_IMAGE: u32 = 0x20_0000;
    /// Seconds a call to another device waits by default.
    pub const TF_WAIT_TIME: i32 = 8;
    /// Seconds a call may wait at most.
    pub const MAX_WAIT_TIME: i32 = 3000;
}

/// Transaction codes (`ipc_core/include/ipc_types.h`).
pub mod code {
    /// The first code of a method.
    pub const FIRST_CALL_TRANSACTION: u32 = 0x0000_0001;
    /// The last code of a method.
    pub const LAST_CALL_TRANSACTION: u32 = 0x00ff_ffff;
    /// `_PNG`: is it alive?
    pub const PING_TRANSACTION: u32 = u32::from_be_bytes(*b"_PNG");
    /// `_NTF`: which interface?
    pub const INTERFACE_TRANSACTION: u32 = u32::from_be_bytes(*b"_NTF");
    /// `_DMP`: what is in it? For privileged callers of the same device.
    pub const DUMP_TRANSACTION: u32 = u32::from_be_bytes(*b"_DMP");
    /// `_DSC`, ours: which methods, with which types?
    pub const DESCRIBE_TRANSACTION: u32 = u32::from_be_bytes(*b"_DSC");
}

/// Requests of the system ability manager (`samgr_proxy/include/samgr_ipc_interface_code.h`).
pub mod samgr {
    /// Get a service, waiting for one that is started on demand.
    pub const GET_SYSTEM_ABILITY: u32 = 1;
    /// Look for a service once.
    pub const CHECK_SYSTEM_ABILITY: u32 = 2;
    /// Register a service; never from another device.
    pub const ADD_SYSTEM_ABILITY: u32 = 3;
    /// Remove a service; never from another device.
    pub const REMOVE_SYSTEM_ABILITY: u32 = 4;
    /// List all services; never from another device.
    pub const LIST_SYSTEM_ABILITY: u32 = 5;
    /// Be told of a service; never from another device.
    pub const SUBSCRIBE_SYSTEM_ABILITY: u32 = 6;
    /// Start a service.
    pub const LOAD_SYSTEM_ABILITY: u32 = 7;
    /// The last code of OpenHarmony's.
    pub const LAST_CODE: u32 = 44;
    /// Ours: the services that the caller may call.
    pub const LIST_CALLABLE: u32 = 0x1_0000;
    /// Ours: a get that is answered when the service is there for the caller, and not before.
    pub const WAIT_FOR_SYSTEM_ABILITY: u32 = 0x1_0010;
    /// Ours: what a host of a bus offers to the processes that attached to it.
    pub const HOST_DESK: u32 = 0x1_0020;
    /// Ours, one-way from a host to a process: a registration of that process has ended.
    pub const REGISTRATION_ENDED: u32 = 0x1_0021;
    /// Ours: tokens with which the caller may pass objects of the callee to a third device.
    pub const INTRODUCE: u32 = 0x2_0000;
    /// Ours: the objects of tokens.
    pub const REDEEM: u32 = 0x2_0001;
}
