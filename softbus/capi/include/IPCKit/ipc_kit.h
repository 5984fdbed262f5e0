/* All of OpenHarmony's IPC Kit. Part of soft-bus, MIT OR Apache-2.0. */
#ifndef SOFTBUS_IPCKIT_IPC_KIT_H
#define SOFTBUS_IPCKIT_IPC_KIT_H

#include "ipc_error_code.h"
#include "ipc_cparcel.h"
#include "ipc_cremote_object.h"
#include "ipc_cskeleton.h"

#endif
