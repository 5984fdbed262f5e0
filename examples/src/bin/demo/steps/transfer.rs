//! A large block of bytes, there and back.

use std::time::{Duration, Instant};

use softbus::{CallOption, Parcel, rpc::parcel::Bytes};

use super::Steps;
use crate::{
    device::tell,
    order::{Done, OrFail, Outcome, Report, same},
    services::{STORE, checksum, store},
};

/// The size of the block.
pub(crate) const TRANSFER_BYTES: usize = 64 * MIB;
const MIB: usize = 1024 * 1024;

impl Steps {
    pub(super) async fn transfer(&self) -> Outcome {
        let object = self.get(STORE, "tablet").await?;
        let block = Bytes::from(noise(TRANSFER_BYTES));
        let expected = checksum(block.clone()).await;

        moved(0, "phone to tablet");
        let began = Instant::now();
        let mut data = Parcel::new();
        data.write_u32(TRANSFER_BYTES as u32).or_fail("room")?;
        data.write_raw_data(block).or_fail("room")?;
        let put = object
            .send_request(store::PUT, &data, CallOption::two_way())
            .await;
        put.or_fail("64 MiB of raw data to arrive at the tablet")?;
        let there = began.elapsed();

        moved(TRANSFER_BYTES, "tablet to phone");
        let empty = Parcel::new();
        let began = Instant::now();
        let option = CallOption::two_way().wait(Duration::from_secs(60));
        let reply = object.send_request(store::GET, &empty, option).await;
        let mut reply = reply.or_fail("64 MiB of raw data back")?;
        let back = began.elapsed();
        let returned = reply
            .read_raw_data(TRANSFER_BYTES)
            .or_fail("64 MiB in the reply")?;

        moved(2 * TRANSFER_BYTES, "checksums");
        let told = object.send_request(store::CHECKSUM, &empty, option).await;
        let mut told = told.or_fail("a checksum of the tablet")?;
        let at_tablet = told
            .read_buffer(expected.len())
            .or_fail("32 bytes of checksum")?;
        same("SHA-256 at the tablet", &hex(at_tablet), &hex(&expected))?;
        same(
            "SHA-256 of what came back",
            &hex(&checksum(returned).await),
            &hex(&expected),
        )?;
        let rate = |time: Duration| (TRANSFER_BYTES as f64 / 1e6) / time.as_secs_f64();
        let detail = format!(
            "64 MiB of raw data in one call: {:.0} MB/s there, {:.0} MB/s back; SHA-256 {}... the same at all ends",
            rate(there),
            rate(back),
            &hex(&expected)[..8]
        );
        Ok(Done::new(there + back, detail))
    }
}

fn moved(bytes: usize, doing: &str) {
    tell(&Report::Moved {
        bytes: bytes as u64,
        doing: doing.to_owned(),
    });
}

/// Bytes without a pattern that a lost or doubled piece could hide in (xorshift64).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
