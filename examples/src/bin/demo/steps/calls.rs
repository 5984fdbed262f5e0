//! Typed, by hand, back, and many in order.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use softbus::{
    CallError, CallOption, Caller, DeviceId, HandlerError, Parcel, RemoteObject, RemoteStub,
    async_trait,
};

use super::Steps;
use crate::{
    order::{Done, OrFail, Outcome, millis, refused, same},
    services::{NOTES, NotesProxy, STORE, store},
};

/// The one-way calls of the burst.
const BURST: u32 = 10_000;
/// The calls whose median is told.
const MEASURED: usize = 200;
/// How often the tablet calls back.
const CALLBACKS: i32 = 5;

impl Steps {
    pub(super) async fn typed_call(&self) -> Outcome {
        let began = Instant::now();
        let notes = NotesProxy::new(self.get(NOTES, "tablet").await?);
        let found = began.elapsed();
        let greeting = notes.greet("phone").await.or_fail("a greeting")?;
        let first = began.elapsed();
        same(
            "greeting",
            &greeting.as_str(),
            &"hello phone, this is the tablet",
        )?;
        let error = CallError::App("nobody to greet".to_owned());
        refused("the service's own error", notes.greet("").await, &error)?;
        let caller = notes.who_am_i().await.or_fail("the caller's id")?;
        same(
            "id the tablet sees",
            &caller,
            &self.node.device_id().to_string(),
        )?;
        let mut times = Vec::with_capacity(MEASURED);
        for _ in 0..MEASURED {
            let began = Instant::now();
            notes.greet("phone").await.or_fail("a greeting")?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let detail = format!(
            "{greeting:?}; found in {:.1} ms, first call {:.1} ms, median of {MEASURED}: {:.3} ms; own error, caller's id",
            millis(found),
            millis(first - found),
            millis(times[MEASURED / 2]),
        );
        Ok(Done::new(first, detail))
    }

    pub(super) async fn raw_call(&self) -> Outcome {
        let object = self.get(STORE, "tablet").await?;
        let began = Instant::now();
        let mut data = Parcel::new();
        data.write_string("1 + 2 + 39").or_fail("room")?;
        data.write_i32_vec(&[1, 2, 39]).or_fail("room")?;
        let reply = object
            .send_request(store::SUM, &data, CallOption::two_way())
            .await;
        let mut reply = reply.or_fail("a reply")?;
        let took = began.elapsed();
        let text = reply.read_string().or_fail("a string in the reply")?;
        let sum = reply.read_i64().or_fail("a number in the reply")?;
        same("reply", &(text.as_str(), sum), &("1 + 2 + 39 = 42", 42))?;
        Ok(Done::new(
            took,
            format!("a parcel with a string and numbers, written by hand; {text:?} came back"),
        ))
    }

    pub(super) async fn callback(&self) -> Outcome {
        let object = self.get(STORE, "tablet").await?;
        let began = Instant::now();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let mut data = Parcel::new();
        let listener = RemoteObject::new(Listener {
            heard: Arc::clone(&heard),
        });
        data.write_remote_object(&listener).or_fail("room")?;
        data.write_i32(CALLBACKS).or_fail("room")?;
        let reply = object
            .send_request(store::CALL_BACK, &data, CallOption::two_way())
            .await;
        let sum = reply
            .or_fail("a reply")?
            .read_i32()
            .or_fail("a number in the reply")?;
        let took = began.elapsed();
        let tablet = self.id_of("tablet")?;
        let expected: Vec<_> = (1..=CALLBACKS).map(|number| (tablet, number)).collect();
        let heard = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        same("calls of the phone's stub", &heard, &expected)?;
        same(
            "sum of the squares",
            &sum,
            &expected.iter().map(|(_, number)| number * number).sum(),
        )?;
        let detail = format!(
            "a stub passed in a parcel was called {CALLBACKS} times by the tablet, and answered"
        );
        Ok(Done::new(took, detail))
    }

    pub(super) async fn burst(&self) -> Outcome {
        let notes = NotesProxy::new(self.get(NOTES, "tablet").await?);
        let began = Instant::now();
        for number in 0..BURST {
            notes
                .note(number)
                .await
                .or_fail("a one-way call on its way")?;
        }
        let sent = began.elapsed();
        let out_of_order = notes
            .noted(BURST)
            .await
            .or_fail("all one-way calls to arrive")?;
        let took = began.elapsed();
        same("calls out of order", &out_of_order, &0)?;
        let per_second = f64::from(BURST) / took.as_secs_f64();
        let detail = format!(
            "{BURST} one-way calls ran one at a time, in order, none lost; sent in {:.0} ms, {per_second:.0}/s",
            millis(sent)
        );
        Ok(Done::new(took, detail))
    }
}

/// Squares what it is told.
struct Listener {
    heard: Arc<Mutex<Vec<(DeviceId, i32)>>>,
}

#[async_trait]
impl RemoteStub for Listener {
    fn descriptor(&self) -> &str {
        "org.example.demo.Listener"
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        if code != store::HEARD {
            return Err(HandlerError::UnknownMethod);
        }
        let number = data.read_i32()?;
        self.heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((caller.device(), number));
        Ok(reply.write_i32(number * number)?)
    }
}
