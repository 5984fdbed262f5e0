//! An object of one device, passed to another by a third.

use std::time::Instant;

use softbus::{CallOption, Parcel};

use super::Steps;
use crate::{
    order::{Done, OrFail, Outcome, same},
    services::{NOTES, STORE, store},
};

impl Steps {
    pub(super) async fn introduction(&self) -> Outcome {
        let notes = self.get(NOTES, "tablet").await?;
        let tv = self.get(STORE, "tv").await?;
        let began = Instant::now();
        let mut data = Parcel::new();
        data.write_remote_object(&notes).or_fail("room")?;
        let reply = tv
            .send_request(store::ASK, &data, CallOption::two_way())
            .await;
        let mut reply = reply.or_fail("the tv to call the tablet")?;
        let took = began.elapsed();
        let home = reply.read_string().or_fail("a string in the reply")?;
        same(
            "device of the tv's proxy",
            &home,
            &self.id_of("tablet")?.to_string(),
        )?;
        let seen = reply.read_string().or_fail("a string in the reply")?;
        same("id the tablet sees", &seen, &self.id_of("tv")?.to_string())?;
        let detail = "the tablet's notes, passed to the tv: it got them from the tablet, which sees the tv call them";
        Ok(Done::new(took, detail))
    }
}
