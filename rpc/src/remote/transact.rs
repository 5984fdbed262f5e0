//! A call from its arguments to its answer.

use std::{
    borrow::Cow,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{RemoteObject, Repr};
use crate::{
    Parcel,
    call::CallOption,
    dispatch,
    error::SendRequestError,
    interface::Interface,
    peer::{Begun, Call, Making},
    telemetry::calls::{self, Watched},
};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, SendRequestError>> + Send + 'a>>;

/// A call, begun when it is first polled and cancelled when it is dropped.
///
/// Written by hand: nearly every call is sent at the first look and has its answer at the second, and futures inside one
/// another would cost it more than all that.
pub(crate) struct Transact<'a> {
    object: &'a RemoteObject,
    interface: Option<&'static Interface>,
    code: u32,
    option: CallOption,
    data: Cow<'a, Parcel>,
    watched: Option<Box<Watched>>,
    progress: Progress<'a>,
}

enum Progress<'a> {
    New,
    /// Not by this proxy: of a stub of this process, or by whichever proxy there is.
    Local(Boxed<'a, Parcel>),
    /// Something has to come before it can be sent.
    Waits(Boxed<'a, Option<Call<'a>>>),
    Sent(Call<'a>),
    Ended,
}

impl<'a> Transact<'a> {
    pub(crate) fn new(
        object: &'a RemoteObject,
        code: u32,
        interface: Option<&'static Interface>,
        data: Cow<'a, Parcel>,
        option: CallOption,
    ) -> Self {
        Self {
            object,
            interface,
            code,
            option,
            data,
            watched: None,
            progress: Progress::New,
        }
    }

    pub(crate) fn option_mut(&mut self) -> &mut CallOption {
        &mut self.option
    }

    /// The arguments, as long as it has not begun.
    #[inline]
    pub(crate) fn data_mut(&mut self) -> &mut Parcel {
        self.data.to_mut()
    }

    /// The arguments, for somebody who waits with them.
    fn take_data(&mut self) -> Cow<'a, Parcel> {
        std::mem::replace(&mut self.data, Cow::Owned(Parcel::new()))
    }

    /// Sends it, if nothing has to be waited for. Returns how it ended, if it has.
    fn begin(&mut self, cx: &Context<'_>) -> Option<Result<Parcel, SendRequestError>> {
        let (code, interface, option) = (self.code, self.interface, self.option);
        let proxy = match &self.object.0 {
            Repr::Remote(proxy) => proxy,
            Repr::Local(local) => {
                let data = self.take_data();
                self.progress = Progress::Local(Box::pin(async move {
                    dispatch::call_local(local, code, interface, &data, option).await
                }));
                return None;
            }
            Repr::Rebinding(rebinding) => {
                let data = self.take_data();
                self.progress = Progress::Local(Box::pin(async move {
                    rebinding.call(code, interface, &data, option).await
                }));
                return None;
            }
        };
        let begun = calls::client(proxy, code, interface, option);
        self.watched = begun.watched;
        let peer = &proxy.0.peer;
        let making = Making {
            target: proxy.0.key,
            beyond: proxy.0.beyond.as_ref(),
            code,
            interface,
            option,
            relayed: None,
        };
        match peer.begin(making, &self.data, begun.trace, cx.waker()) {
            Ok(Begun::Sent(call)) => self.progress = Progress::Sent(call),
            Ok(Begun::OneWay) => return Some(Ok(Parcel::new())),
            Ok(Begun::Waits(waits)) => {
                let data = self.take_data();
                self.progress = Progress::Waits(Box::pin(async move {
                    peer.send_later(making, &data, waits).await
                }));
            }
            Err(error) => return Some(Err(error)),
        }
        None
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<Parcel, SendRequestError>> {
        loop {
            match &mut self.progress {
                Progress::New => {
                    if let Some(ended) = self.begin(cx) {
                        return Poll::Ready(ended);
                    }
                    if let Progress::Sent(_) = self.progress {
                        // The waker has been left with it.
                        return Poll::Pending;
                    }
                }
                Progress::Local(call) => return call.as_mut().poll(cx),
                Progress::Waits(sent) => match ready!(sent.as_mut().poll(cx))? {
                    Some(call) => self.progress = Progress::Sent(call),
                    None => return Poll::Ready(Ok(Parcel::new())),
                },
                Progress::Sent(call) => return call.poll(self.code, cx.waker()),
                Progress::Ended => return Poll::Pending,
            }
        }
    }
}

impl Future for Transact<'_> {
    type Output = Result<Parcel, SendRequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        #[cfg(unix)]
        if crate::forked::is_forked() {
            // Before anything is touched that the parent's threads may have locked.
            return Poll::Ready(Err(SendRequestError::Forked));
        }
        let result = ready!(self.poll_end(cx));
        self.progress = Progress::Ended;
        if let Repr::Remote(proxy) = &self.object.0 {
            let watched = self.watched.take();
            calls::client_ended(proxy, self.code, watched, &result);
        }
        Poll::Ready(result)
    }
}
