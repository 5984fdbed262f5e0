/* Threads and callers of OpenHarmony's IPC Kit. Part of soft-bus, MIT OR Apache-2.0.
 *
 * Who calls is known in a request callback, on its thread. Outside of one the caller is this process. Token ids are user
 * ids: there is no access token service here. */
#ifndef SOFTBUS_IPCKIT_IPC_CSKELETON_H
#define SOFTBUS_IPCKIT_IPC_CSKELETON_H

#include <stdint.h>

#include "ipc_cparcel.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Lets request callbacks run on this thread too, and before the pool's own threads. Returns after one of them, on this
 *  thread, has called OH_IPCSkeleton_StopWorkThread(). */
void OH_IPCSkeleton_JoinWorkThread(void);
/** Ends OH_IPCSkeleton_JoinWorkThread() of this thread when the callback that runs on it returns. Nothing on a thread that
 *  has not joined. */
void OH_IPCSkeleton_StopWorkThread(void);
/** The caller's token: its user id; 0 if it is on another device. */
uint64_t OH_IPCSkeleton_GetCallingTokenId(void);
/** The token of the first caller of a chain: 0, as in OpenHarmony where no process has set one, which none can here. */
uint64_t OH_IPCSkeleton_GetFirstTokenId(void);
/** The token of this process: its user id. */
uint64_t OH_IPCSkeleton_GetSelfTokenId(void);
/** The caller's process; (uint64_t)-1 if it is on another device. */
uint64_t OH_IPCSkeleton_GetCallingPid(void);
/** The caller's user; (uint64_t)-1 if it is on another device. */
uint64_t OH_IPCSkeleton_GetCallingUid(void);
/** 1 if the caller is on this device, or there is none; else 0. */
int OH_IPCSkeleton_IsLocalCalling(void);
/** How many request callbacks of this process run at a time: 1 to 32, 16 by default, else OH_IPC_CHECK_PARAM_ERROR. The
 *  number is only ever raised; a lower one is accepted and changes nothing. */
int OH_IPCSkeleton_SetMaxWorkThreadNum(const int maxThreadNum);
/** Makes this process the caller, until the end of the callback or OH_IPCSkeleton_SetCallingIdentity(), and says who the
 *  caller was, in memory of `allocator`; `len` counts its NUL. OH_IPC_MEM_ALLOCATOR_ERROR: nothing has changed. Outside of
 *  a callback the text is empty. */
int OH_IPCSkeleton_ResetCallingIdentity(char **identity, int32_t *len, OH_IPC_MemAllocator allocator);
/** Makes who `identity` says the caller again. OH_IPC_INNER_ERROR for a text that is none. Outside of a callback any text
 *  is accepted and means nothing. */
int OH_IPCSkeleton_SetCallingIdentity(const char *identity);
/** 1 in a request callback, else 0. */
int OH_IPCSkeleton_IsHandlingTransaction(void);

#ifdef __cplusplus
}
#endif

#endif
