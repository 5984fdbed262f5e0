//! Moves bytes between a stream and what is under way on it: one task, which also keeps the peer's presence.

use std::{
    io,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use rpc::link::LinkClosed;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, Sleep},
};

use super::{
    Shared, Timing,
    frame::{self, Frame, Malformed},
    state::HeldUp,
};
use crate::link::end::by_peer;

/// How much is read at a time.
const READ: usize = 64 * 1024;
/// How many times before others run.
const READS: usize = 32;
/// An empty buffer larger than this is given back.
const IDLE_BUFFER: usize = 4096;
/// How long those who read lanes have to take what came before the end.
const TAKE_TIME: Duration = Duration::from_millis(100);
/// How long the end may take to be said, and to be heard.
const CLOSE_TIME: Duration = Duration::from_millis(500);

/// Runs a stream until it ends from either side, and closes it.
pub(super) async fn drive<S>(mut stream: S, shared: Arc<Shared>, timing: Timing)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut driver = Driver::new(&mut stream, &shared, timing);
    let ended = tokio::select! {
        biased;
        _ = shared.end.wait() => None,
        ended = std::future::poll_fn(|cx| driver.poll(cx)) => Some(ended),
    };
    let out = driver.out;
    match ended {
        // The other end has said why, or is gone: nothing more can be told.
        Some(ended) => {
            shared.end.tell(ended);
            shared.run(|state| state.end());
        }
        None => {
            let rest = last_words(&shared, out);
            let goodbye = say_goodbye(&mut stream, &rest);
            let _ = tokio::time::timeout(CLOSE_TIME, goodbye).await;
        }
    }
    drop(stream);
    shared.gone.send_replace(true);
}

/// What has not been written yet, and the end.
fn last_words(shared: &Shared, mut out: BytesMut) -> BytesMut {
    let (code, text) = shared.end.goodbye().unwrap_or_default();
    let text = text.as_bytes().to_vec();
    shared.run(|state| {
        out.extend_from_slice(&state.out);
        state.end();
    });
    Frame::Close(code, text.into()).put(&mut out);
    out
}

/// Writes, and waits for the peer to hang up: a socket that is closed with something unread in it loses what it has not sent.
pub(super) async fn say_goodbye<S>(stream: &mut S, rest: &[u8]) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    stream.write_all(rest).await?;
    stream.shutdown().await?;
    let mut unwanted = [0; 1024];
    while stream.read(&mut unwanted).await? > 0 {}
    Ok(())
}

struct Driver<'a, S> {
    stream: &'a mut S,
    shared: &'a Shared,
    timing: Timing,
    incoming: BytesMut,
    begun: bool,
    out: BytesMut,
    unflushed: bool,
    heard: Instant,
    pinged: Instant,
    timer: Pin<Box<Sleep>>,
    /// Why nothing is read now.
    held_up: Option<HeldUp>,
    /// The end, once it was said, and until when what came before it may be taken.
    leaving: Option<LinkClosed>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin + Send> Driver<'a, S> {
    fn new(stream: &'a mut S, shared: &'a Shared, timing: Timing) -> Self {
        let now = Instant::now();
        Self {
            stream,
            shared,
            timing,
            incoming: BytesMut::new(),
            begun: false,
            out: BytesMut::from(&frame::preamble(timing.idle)[..]),
            unflushed: false,
            heard: now,
            pinged: now,
            timer: Box::pin(tokio::time::sleep_until(now)),
            held_up: None,
            leaving: None,
        }
    }

    /// Ready at the end that the other side makes.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<LinkClosed> {
        self.shared.run(|state| state.set_driver(cx.waker()));
        if self.leaving.is_some() {
            return self.poll_leaving(cx);
        }
        if let Poll::Ready(ended) = self.poll_read(cx) {
            self.leaving = Some(ended);
            self.timer.as_mut().reset(Instant::now() + TAKE_TIME);
            return self.poll_leaving(cx);
        }
        if self.shared.run(|state| state.is_left()) {
            // Heard by whoever drives this.
            self.shared.end.close(0, "moved");
            return Poll::Pending;
        }
        if let Poll::Ready(ended) = self.poll_time(cx) {
            return Poll::Ready(ended);
        }
        if let Poll::Ready(Err(error)) = self.poll_write(cx) {
            return Poll::Ready(ended_by(&error));
        }
        if self.held_up.is_some() && self.look_who_holds_up().is_none() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn look_who_holds_up(&mut self) -> Option<HeldUp> {
        self.held_up = self.shared.run(|state| state.is_held_up());
        if self.held_up == Some(HeldUp::Here) {
            // The peer may well be speaking.
            self.heard = Instant::now();
        }
        self.held_up
    }

    /// What came before the end is taken first.
    fn poll_leaving(&mut self, cx: &mut Context<'_>) -> Poll<LinkClosed> {
        if !self.shared.run(|state| state.is_taken()) {
            ready!(self.timer.as_mut().poll(cx));
        }
        Poll::Ready(self.leaving.take().unwrap_or(LinkClosed::ByUs))
    }

    /// Reads what is there. Ready at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<LinkClosed> {
        for _ in 0..READS {
            if self.look_who_holds_up().is_some() {
                return Poll::Pending;
            }
            self.incoming.reserve(READ);
            // The future holds no state of its own between polls, so it can be made anew for each.
            match pin!(self.stream.read_buf(&mut self.incoming)).poll(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(LinkClosed::Reset),
                Poll::Ready(Ok(_)) => self.heard = Instant::now(),
                Poll::Ready(Err(error)) => return Poll::Ready(ended_by(&error)),
                Poll::Pending => {
                    if self.incoming.is_empty() && self.incoming.capacity() > IDLE_BUFFER {
                        self.incoming = BytesMut::new();
                    }
                    return Poll::Pending;
                }
            }
            self.shared.received.fetch_add(1, Ordering::Relaxed);
            match self.take_frames() {
                Ok(None) => {}
                Ok(Some(ended)) => return Poll::Ready(ended),
                Err(error) => {
                    tracing::info!(%error, "stream broken");
                    return Poll::Ready(LinkClosed::Failed(error.to_string()));
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hands on every whole frame, under one lock.
    fn take_frames(&mut self) -> Result<Option<LinkClosed>, Malformed> {
        if !self.begun {
            let Some(idle) = frame::read_preamble(&mut self.incoming)? else {
                return Ok(None);
            };
            self.begun = true;
            self.timing.idle = self.timing.idle.min(idle);
            self.timer.as_mut().reset(Instant::now());
        }
        self.shared.run(|state| {
            while let Some(frame) = Frame::take(&mut self.incoming)? {
                state.handle(frame)?;
                if let Some((code, text)) = state.goodbye() {
                    return Ok(Some(by_peer(code, &text)));
                }
            }
            Ok(None)
        })
    }

    /// Asks who is silent, and gives up who stays so.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<LinkClosed> {
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let gone = self.heard + self.timing.idle;
            if now >= gone {
                return Poll::Ready(LinkClosed::TimedOut);
            }
            let mut ping = self.heard.max(self.pinged) + self.timing.keep_alive;
            if now >= ping {
                self.pinged = now;
                self.shared.run(|state| state.put(&Frame::Ping));
                ping = now + self.timing.keep_alive;
            }
            self.timer.as_mut().reset(ping.min(gone));
        }
    }

    /// Writes what there is; ready only when that fails.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.out.is_empty() {
                self.shared.run(|state| {
                    state.fill(&mut self.out);
                    // What wakes from here on is new.
                    state.set_driver(cx.waker());
                });
                if self.out.is_empty() {
                    break;
                }
            }
            let written = ready!(Pin::new(&mut *self.stream).poll_write(cx, &self.out))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(written);
            self.unflushed = true;
        }
        if self.out.capacity() > IDLE_BUFFER {
            self.out = BytesMut::new();
        }
        if self.unflushed {
            ready!(Pin::new(&mut *self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Pending
    }
}

/// What an error of the stream says of the peer.
fn ended_by(error: &io::Error) -> LinkClosed {
    match error.kind() {
        // Its host says so, or closes what a process has left.
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => LinkClosed::Reset,
        io::ErrorKind::TimedOut => LinkClosed::TimedOut,
        _ => LinkClosed::Failed(error.to_string()),
    }
}
