/* The bus between a process and the children it starts, for who starts them in a way of their own. (libchild_process.so does
 * it for OpenHarmony's way.) Part of soft-bus, MIT OR Apache-2.0.
 *
 * The parent makes a socket pair, socketpair(AF_UNIX, SOCK_STREAM), starts a program with one end and calls
 * SoftBus_Child_Accept() with the other. The program, not a fork of the parent's, calls SoftBus_Child_Report(). */
#ifndef SOFTBUS_CHILD_H
#define SOFTBUS_CHILD_H

#include <stdint.h>

#include "../IPCKit/ipc_cparcel.h"

#ifdef __cplusplus
extern "C" {
#endif

/** In the parent: waits, for at most `waitMs`, for what process `pid` at the other end of `socket` reports, which is closed
 *  in any case. 0 and a proxy of its stub in `*proxy`, to be destroyed; the number it has reported;
 *  OH_IPC_DEAD_REMOTE_OBJECT if it has ended; SOFTBUS_ERR_TIMED_OUT of softbus/device.h if it is late;
 *  OH_IPC_CHECK_PARAM_ERROR; OH_IPC_INNER_ERROR, in a fork for one. */
int SoftBus_Child_Accept(int socket, int32_t pid, uint32_t waitMs, OHIPCRemoteProxy **proxy);

/** In the child, once: reports `stub`, or that there is none because of `errCode`, to process `parent` at the other end of
 *  `socket`, which is the library's from here on. When the parent ends, so does this process. OH_IPC_CHECK_PARAM_ERROR, which
 *  is also what the parent is told if there is neither a valid stub nor an error; OH_IPC_DEAD_REMOTE_OBJECT if the parent has
 *  ended; OH_IPC_INNER_ERROR, in a fork for one. */
int SoftBus_Child_Report(int socket, int32_t parent, int errCode, const OHIPCRemoteStub *stub);

/** In the child, before it ends: lets requests that are under way end, for 200 ms at most. Afterwards nothing can be called. */
void SoftBus_Child_Leave(void);

#ifdef __cplusplus
}
#endif

#endif
