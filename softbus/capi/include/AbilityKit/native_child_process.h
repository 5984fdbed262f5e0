/* Native child processes, as in OpenHarmony's Ability Kit. Part of soft-bus, MIT OR Apache-2.0. Linked with
 * -lchild_process, beside -lipc_capi. */
#ifndef SOFTBUS_ABILITYKIT_NATIVE_CHILD_PROCESS_H
#define SOFTBUS_ABILITYKIT_NATIVE_CHILD_PROCESS_H

#include "../IPCKit/ipc_cparcel.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum Ability_NativeChildProcess_ErrCode {
    /** It worked. */
    NCP_NO_ERROR = 0,
    /** An argument is NULL, or the name is empty. */
    NCP_ERR_INVALID_PARAM = 401,
    /** The program that children run, softbus-child, is not where libchild_process.so is. */
    NCP_ERR_NOT_SUPPORTED = 801,
    /** Something else failed, in a fork of a process that has children for one; the log says what. */
    NCP_ERR_INTERNAL = 16000050,
    /** Not used here: several children may start at once. */
    NCP_ERR_BUSY = 16010001,
    /** The child was not ready after 30 s. */
    NCP_ERR_TIMEOUT = 16010002,
    /** The child could not be started, or ended before it was ready. */
    NCP_ERR_SERVICE_ERROR = 16010003,
    /** Not used here. */
    NCP_ERR_MULTI_PROCESS_DISABLED = 16010004,
    /** This is such a child itself. */
    NCP_ERR_ALREADY_IN_CHILD = 16010005,
    /** This process has 50 of them. */
    NCP_ERR_MAX_CHILD_PROCESSES_REACHED = 16010006,
    /** The child has not found the library, or one of the two functions in it. */
    NCP_ERR_LIB_LOADING_FAILED = 16010007,
    /** NativeChildProcess_OnConnect() has returned no valid stub. */
    NCP_ERR_CONNECTION_FAILED = 16010008,
} Ability_NativeChildProcess_ErrCode;

/** Told how the start went: NCP_NO_ERROR and a proxy of the child's stub, to be destroyed, or an error and NULL. The proxy is for
 *  this process: a request that hands it to another child, or to another device, is OH_IPC_INNER_ERROR. */
typedef void (*OH_Ability_OnNativeChildProcessStarted)(int errCode, OHIPCRemoteProxy *remoteProxy);

/** Starts a child process: a new program that loads the library `libName`, calls its
 *
 *      OHIPCRemoteStub *NativeChildProcess_OnConnect(void);
 *      void NativeChildProcess_MainProc(void);
 *
 *  and ends when the second one returns, or when this process ends.
 *
 *  A name with a `/` is a path. Any other is looked for as dlopen(3) does it (LD_LIBRARY_PATH, the system's directories),
 *  and then beside this process's program.
 *
 *  Returns NCP_NO_ERROR when the start was tried; `onProcessStarted` has then been called, on this thread, with its
 *  outcome. Otherwise it is not called: NCP_ERR_INVALID_PARAM, NCP_ERR_NOT_SUPPORTED, NCP_ERR_ALREADY_IN_CHILD,
 *  NCP_ERR_MAX_CHILD_PROCESSES_REACHED, NCP_ERR_INTERNAL. */
int OH_Ability_CreateNativeChildProcess(const char *libName, OH_Ability_OnNativeChildProcessStarted onProcessStarted);

#ifdef __cplusplus
}
#endif

#endif
