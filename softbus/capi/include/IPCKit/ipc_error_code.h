/* Error codes of OpenHarmony's IPC Kit, with its numbers. Part of soft-bus, MIT OR Apache-2.0. */
#ifndef SOFTBUS_IPCKIT_IPC_ERROR_CODE_H
#define SOFTBUS_IPCKIT_IPC_ERROR_CODE_H

/** What the functions of the kit return. */
typedef enum {
    /** It worked. */
    OH_IPC_SUCCESS = 0,
    /** The first number of an error. */
    OH_IPC_ERROR_CODE_BASE = 1901000,
    /** An argument is null, destroyed, empty, too long or out of range. */
    OH_IPC_CHECK_PARAM_ERROR = OH_IPC_ERROR_CODE_BASE,
    /** The value was not written: the parcel is full, was received, or may not carry it. */
    OH_IPC_PARCEL_WRITE_ERROR = OH_IPC_ERROR_CODE_BASE + 1,
    /** The value was not read: something else is there, or nothing. */
    OH_IPC_PARCEL_READ_ERROR = OH_IPC_ERROR_CODE_BASE + 2,
    /** The caller's allocator returned NULL. */
    OH_IPC_MEM_ALLOCATOR_ERROR = OH_IPC_ERROR_CODE_BASE + 3,
    /** The code of the request is outside of 0x01..0x00ffffff. */
    OH_IPC_CODE_OUT_OF_RANGE = OH_IPC_ERROR_CODE_BASE + 4,
    /** The stub, its process or its device is gone. */
    OH_IPC_DEAD_REMOTE_OBJECT = OH_IPC_ERROR_CODE_BASE + 5,
    /** The request callback returned a number that is none of these and none of its own range. */
    OH_IPC_INVALID_USER_ERROR_CODE = OH_IPC_ERROR_CODE_BASE + 6,
    /** Everything else; the log and SoftBus_LastError() say what. */
    OH_IPC_INNER_ERROR = OH_IPC_ERROR_CODE_BASE + 7,
    /** The end of the range of errors. */
    OH_IPC_ERROR_CODE_MAX = OH_IPC_ERROR_CODE_BASE + 1000,
    /** The first number that a request callback may choose as its own error. */
    OH_IPC_USER_ERROR_CODE_MIN = 1909000,
    /** The last one. */
    OH_IPC_USER_ERROR_CODE_MAX = 1909999
} OH_IPC_ErrorCode;

#endif
