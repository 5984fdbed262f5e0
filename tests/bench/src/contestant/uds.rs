//! A Unix socket on one device, plain: ping-pong, and multiplexed.

use std::{path::Path, sync::Arc};

use anyhow::{Result, ensure};
use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::Mutex,
};

use super::{
    Client, Contestant, End,
    mux::{self, MuxClient},
};
use crate::process::{Spec, announce};

fn listen(spec: &Spec) -> Result<UnixListener> {
    let path = super::socket(spec);
    let listener = UnixListener::bind(&path)?;
    announce(&path.to_string_lossy());
    Ok(listener)
}

/// Everything on one socket, as in `quinn-mux`.
pub(super) struct Mux;

impl Contestant for Mux {
    type Client = MuxClient;

    async fn serve(&self, spec: &Spec) -> Result<()> {
        let listener = listen(spec)?;
        loop {
            let (stream, _) = listener.accept().await?;
            let (read, write) = stream.into_split();
            tokio::spawn(mux::serve(read, write));
        }
    }

    async fn connect(&self, end: &End<'_>) -> Result<MuxClient> {
        let stream = UnixStream::connect(Path::new(end.address)).await?;
        let (read, write) = stream.into_split();
        Ok(MuxClient::new(read, write))
    }
}

/// One call at a time, no tasks between caller and socket.
pub(super) struct PingPong;

const HEADER: usize = 4;

async fn read(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.clear();
    loop {
        ensure!(stream.read_buf(buffer).await? > 0, "closed");
        if let Some(mut header) = buffer.get(..HEADER)
            && buffer.len() >= HEADER + header.get_u32_le() as usize
        {
            return Ok(());
        }
    }
}

impl Contestant for PingPong {
    type Client = Pinging;

    async fn serve(&self, spec: &Spec) -> Result<()> {
        let listener = listen(spec)?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            tokio::spawn(async move {
                let mut buffer = Vec::new();
                while read(&mut stream, &mut buffer).await.is_ok() {
                    stream.write_all(&buffer).await?;
                }
                anyhow::Ok(())
            });
        }
    }

    async fn connect(&self, end: &End<'_>) -> Result<Pinging> {
        let stream = UnixStream::connect(Path::new(end.address)).await?;
        Ok(Pinging(Arc::new(Mutex::new((stream, Vec::new())))))
    }
}

#[derive(Clone)]
pub(super) struct Pinging(Arc<Mutex<(UnixStream, Vec<u8>)>>);

impl Client for Pinging {
    async fn echo(&self, payload: &Bytes) -> Result<usize> {
        let mut stream = self.0.lock().await;
        let (stream, buffer) = &mut *stream;
        buffer.clear();
        buffer.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        buffer.extend_from_slice(payload);
        stream.write_all(buffer).await?;
        read(stream, buffer).await?;
        Ok(buffer.len() - HEADER)
    }

    async fn put(&self, _payload: &Bytes) -> Result<()> {
        anyhow::bail!("only echoes")
    }
}
