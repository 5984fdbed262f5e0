//! Death recipients: who is told when an object dies.
//!
//! A callback runs on a thread of its own, because it may call and wait. So between the death and the callback there is a
//! moment in which a registration can still be taken back; whoever does waits for a callback that has begun, but not for
//! itself.
#![expect(unsafe_code, reason = "functions that C calls")]

use std::{
    ffi::{c_int, c_void},
    mem, ptr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
};

use softbus::{DeathLink, DeathReason};

use super::{
    DestroyCallback, Destroyed,
    proxy::{self, OHIPCRemoteProxy, PROXIES},
};
use crate::{
    boundary::{UserData, guard},
    error::{self, INNER, SUCCESS},
    handle::Handles,
    runtime,
};

/// A death recipient, to C.
pub(crate) enum OHIPCDeathRecipient {}

static RECIPIENTS: Handles<OHIPCDeathRecipient, Arc<Recipient>> = Handles::new(4);

/// `OH_OnDeathRecipientCallback`.
type DeathCallback = extern "C" fn(user_data: *mut c_void);

struct Recipient {
    callback: DeathCallback,
    /// The threads on which the callback runs.
    running: Mutex<Vec<ThreadId>>,
    ended: Condvar,
    destroyed: Destroyed,
}

impl Recipient {
    /// The callback is about to run on this thread.
    fn begin(&self) {
        lock(&self.running).push(thread::current().id());
    }

    fn run(&self) {
        (self.callback)(self.destroyed.user_data.get());
        let me = thread::current().id();
        lock(&self.running).retain(|thread| *thread != me);
        self.ended.notify_all();
    }

    /// Waits until the callback runs nowhere, unless it is what calls this.
    fn wait(&self) {
        let me = thread::current().id();
        let mut running = lock(&self.running);
        while !running.is_empty() && !running.contains(&me) {
            let woken = self.ended.wait(running);
            running = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// How far a registration is.
enum State {
    /// It will be told.
    Waiting(Arc<Recipient>),
    /// It is being told.
    Running(Arc<Recipient>),
    /// It has been told, or never will be.
    Over,
}

/// One recipient, for one object.
struct Registration(Mutex<State>);

impl Registration {
    fn tell(&self) {
        let recipient = {
            let mut state = lock(&self.0);
            let State::Waiting(recipient) = &*state else {
                return;
            };
            let recipient = Arc::clone(recipient);
            // Before anybody can see that it runs: who waits for its end must not take it for ended.
            recipient.begin();
            *state = State::Running(Arc::clone(&recipient));
            recipient
        };
        recipient.run();
        let last = mem::replace(&mut *lock(&self.0), State::Over);
        // C may be told that the recipient is gone: not under the lock.
        drop(last);
    }

    /// Does not begin from here on, and has ended, unless it is what calls this.
    fn take_back(&self) {
        let running = {
            let mut state = lock(&self.0);
            match &*state {
                State::Running(recipient) => Ok(Arc::clone(recipient)),
                _ => Err(mem::replace(&mut *state, State::Over)),
            }
        };
        if let Ok(recipient) = running {
            recipient.wait();
        }
    }
}

/// A registration as the proxy keeps it.
pub(super) struct Watch {
    recipient: *const Recipient,
    registration: Arc<Registration>,
    link: DeathLink,
}

// SAFETY: the pointer is compared with others and never looked behind.
unsafe impl Send for Watch {}

impl Watch {
    /// Whether the recipient had not been told and now never will be.
    pub(super) fn take_back(self) -> bool {
        let in_time = self.link.unlink();
        self.registration.take_back();
        in_time
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The recipient of a handle.
fn recipient_of(recipient: *const OHIPCDeathRecipient) -> Option<Arc<Recipient>> {
    RECIPIENTS.with(recipient, |recipient| Arc::clone(recipient))
}

/// How many recipients there are.
pub(crate) fn count() -> usize {
    RECIPIENTS.count()
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCDeathRecipient_Create(
    callback: Option<DeathCallback>,
    destroy: DestroyCallback,
    user_data: *mut c_void,
) -> *mut OHIPCDeathRecipient {
    guard(ptr::null_mut(), || {
        let Some(callback) = callback else {
            error::invalid();
            return ptr::null_mut();
        };
        RECIPIENTS.insert(Arc::new(Recipient {
            callback,
            running: Mutex::default(),
            ended: Condvar::new(),
            destroyed: Destroyed {
                callback: destroy,
                user_data: UserData::new(user_data),
            },
        }))
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCDeathRecipient_Destroy(recipient: *mut OHIPCDeathRecipient) {
    guard((), || {
        if let Some(recipient) = RECIPIENTS.remove(recipient) {
            recipient.wait();
        }
    });
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCRemoteProxy_AddDeathRecipient(
    proxy: *mut OHIPCRemoteProxy,
    recipient: *mut OHIPCDeathRecipient,
) -> c_int {
    guard(INNER, || {
        let (Some(object), Some(recipient)) = (proxy::object(proxy), recipient_of(recipient))
        else {
            return error::check_param();
        };
        let which = Arc::as_ptr(&recipient);
        let registration = Arc::new(Registration(Mutex::new(State::Waiting(recipient))));
        let told = Arc::clone(&registration);
        let linked = object.link_to_death(move |_: DeathReason| {
            let told = Arc::clone(&told);
            runtime::aside(move || told.tell());
        });
        let link = match linked {
            Ok(link) => link,
            Err(refused) => return error::inner(&refused),
        };
        let mut watch = Some(Watch {
            recipient: which,
            registration,
            link,
        });
        PROXIES.with(proxy, |proxy| proxy.watches.extend(watch.take()));
        match watch {
            None => SUCCESS,
            // Destroyed meanwhile.
            Some(watch) => {
                watch.take_back();
                error::check_param()
            }
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCRemoteProxy_RemoveDeathRecipient(
    proxy: *mut OHIPCRemoteProxy,
    recipient: *mut OHIPCDeathRecipient,
) -> c_int {
    guard(INNER, || {
        let Some(recipient) = recipient_of(recipient) else {
            return error::check_param();
        };
        let which = Arc::as_ptr(&recipient);
        let found = PROXIES.with(proxy, |proxy| {
            let watches = &mut proxy.watches;
            let at = watches.iter().position(|watch| watch.recipient == which)?;
            Some(watches.remove(at))
        });
        match found.map(|watch| watch.is_some_and(Watch::take_back)) {
            Some(true) => SUCCESS,
            Some(false) => {
                error::say("it is not registered, or has been told");
                INNER
            }
            None => error::check_param(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn told(_: *mut c_void) {}

    /// Or it would be taken for ended before it has begun.
    #[test]
    fn who_sees_that_it_runs_sees_where() {
        let recipient = Arc::new(Recipient {
            callback: told,
            running: Mutex::default(),
            ended: Condvar::new(),
            destroyed: Destroyed {
                callback: None,
                user_data: UserData::new(ptr::null_mut()),
            },
        });
        let waiting = State::Waiting(Arc::clone(&recipient));
        let registration = Registration(Mutex::new(waiting));
        thread::scope(|scope| {
            // Nobody can say where it runs.
            let nowhere = lock(&recipient.running);
            scope.spawn(|| registration.tell());
            let mut unseen = 0;
            while unseen < 1000 {
                match registration.0.try_lock() {
                    Ok(state) => assert!(!matches!(*state, State::Running(_))),
                    Err(_) => unseen += 1,
                }
                thread::yield_now();
            }
            drop(nowhere);
        });
        assert!(matches!(*lock(&registration.0), State::Over));
        assert!(lock(&recipient.running).is_empty());
    }
}
