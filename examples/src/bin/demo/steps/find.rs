//! Services: listed, found by (service id, device id), and not found.

use std::time::{Duration, Instant};

use softbus::{DeviceId, GetServiceError};

use super::Steps;
use crate::{
    order::{Done, Failure, OrFail, Outcome, refused, same},
    services::{NOTES, NotesProxy, PRIVATE, REMOVED, STORE, UNKNOWN},
};

impl Steps {
    pub(super) async fn list(&self) -> Outcome {
        let tablet = self.id_of("tablet")?;
        let began = Instant::now();
        let services = self.node.samgr().list_of(&tablet).await.or_fail("a list")?;
        let took = began.elapsed();
        same("services of the tablet", &services, &vec![NOTES, STORE])?;
        let own = self.node.samgr().list();
        same(
            "services of the phone itself",
            &own,
            &vec![NOTES, STORE, PRIVATE],
        )?;
        let detail = format!(
            "the tablet offers {NOTES} and {STORE}; {PRIVATE}, for itself only, is not in it"
        );
        Ok(Done::new(took, detail))
    }

    pub(super) async fn find(&self) -> Outcome {
        let began = Instant::now();
        for device in ["tablet", "tv"] {
            let notes = NotesProxy::new(self.get(NOTES, device).await?);
            let greeting = notes.greet("phone").await.or_fail("a greeting")?;
            same(
                "greeting",
                &greeting,
                &format!("hello phone, this is the {device}"),
            )?;
            same(
                "device of the proxy",
                &notes.as_object().device(),
                &Some(self.id_of(device)?),
            )?;
        }
        let detail = format!(
            "({NOTES}, tablet) and ({NOTES}, tv) are two services, and each greets as itself"
        );
        Ok(Done::new(began.elapsed(), detail))
    }

    pub(super) async fn not_found(&self) -> Outcome {
        let samgr = self.node.samgr();
        let tablet = self.id_of("tablet")?;
        let began = Instant::now();
        let removed = samgr.get(REMOVED, &tablet).await;
        refused(
            "a service that was removed",
            removed,
            &GetServiceError::Absent,
        )?;
        for service in [UNKNOWN, PRIVATE] {
            let found = samgr.get(service, &tablet).await;
            refused(
                "a service not offered to us",
                found,
                &GetServiceError::Refused,
            )?;
        }
        let stranger = DeviceId::from_bytes([1; 32]);
        let found = samgr.get(NOTES, &stranger).await;
        refused(
            "a stranger's service",
            found,
            &GetServiceError::DeviceNotTrusted,
        )?;

        let absent = DeviceId::from_bytes([2; 32]);
        let trust = self.node.trust();
        let trust = trust.ok_or_else(|| Failure::new("a trust store", "none"))?;
        trust.trust(absent, "away").or_fail("trust")?;
        let found = samgr
            .get_within(NOTES, &absent, Duration::from_millis(300))
            .await;
        trust.forget(&absent).or_fail("distrust")?;
        let Err(GetServiceError::Unreachable(why)) = found else {
            return Err(Failure::new(
                "a device that is away: unreachable",
                format!("{found:?}"),
            ));
        };
        let detail = format!(
            "{REMOVED}, removed: {}; {UNKNOWN}: {}; of a stranger: {}; of a device that is away: unreachable ({why})",
            GetServiceError::Absent,
            GetServiceError::Refused,
            GetServiceError::DeviceNotTrusted,
        );
        Ok(Done::new(began.elapsed(), detail))
    }
}
