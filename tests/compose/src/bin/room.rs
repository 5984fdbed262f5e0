//! The application in the containers: a device with a room that others visit.
//!
//! It hosts the bus of its device, so that `softbus --local` in the same container is a process of that device: this is how tests
//! ask it things. It ends with a goodbye at SIGTERM, which is how containers are stopped.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use softbus::{
    Allow, Caller, DeathLink, DeviceId, Interfaces, Node, ServiceId, ServiceOptions, local,
    remote_interface,
};
use tokio::signal::unix::{SignalKind, signal};

const ROOM: ServiceId = ServiceId::new(1403).unwrap();
const GUESTS: usize = 100;

#[remote_interface(descriptor = "org.example.compose.Guest")]
trait Guest {
    async fn hear(&self, text: String);
}

/// What others may call, and what only the user of this device may.
#[remote_interface(descriptor = "org.example.compose.Room")]
trait Room {
    /// Says who the caller is, as this device knows it.
    async fn greet(&self, caller: &Caller) -> String;
    /// `guest` hears what is said here from now on.
    async fn join(&self, guest: GuestProxy) -> Result<(), String>;
    /// Says something to all guests; how many have heard it.
    async fn say(&self, text: String) -> u32;
    /// Is handed the room of a third device, and greets it.
    async fn meet(&self, room: RoomProxy) -> Result<String, String>;

    /// Joins the room of a device.
    async fn visit(&self, caller: &Caller, device: String) -> Result<(), String>;
    /// What was heard in rooms that were joined.
    async fn heard(&self) -> Vec<String>;
    /// Why rooms that were joined are gone.
    async fn lost(&self) -> Vec<String>;
    /// Hands the room of `home` to the room of `to`; what `home` answered that one.
    async fn introduce(&self, caller: &Caller, home: String, to: String) -> Result<String, String>;
}

#[derive(Default)]
struct State {
    guests: Vec<GuestProxy>,
    heard: Vec<String>,
    lost: Vec<String>,
    /// The rooms that were joined, by the devices that have them.
    joined: HashMap<String, DeathLink>,
}

#[derive(Clone)]
struct Here {
    node: Node,
    state: Arc<Mutex<State>>,
}

struct Ear(Here);

impl Here {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn room_of(&self, device: &str) -> Result<RoomProxy, String> {
        let device: DeviceId = device.parse().map_err(text)?;
        let room = self.node.samgr().get(ROOM, &device).await.map_err(text)?;
        Ok(RoomProxy::new(room))
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn own_user(caller: &Caller) -> Result<(), String> {
    let refused = || "only for the user of this device".to_owned();
    caller.is_local().then_some(()).ok_or_else(refused)
}

impl Guest for Ear {
    async fn hear(&self, text: String) {
        self.0.state().heard.push(text);
    }
}

impl Room for Here {
    async fn greet(&self, caller: &Caller) -> String {
        caller.device().to_string()
    }

    async fn join(&self, guest: GuestProxy) -> Result<(), String> {
        let mut state = self.state();
        state.guests.retain(|guest| !guest.as_object().is_dead());
        if state.guests.len() >= GUESTS {
            return Err(format!("full: {GUESTS} guests"));
        }
        state.guests.push(guest);
        Ok(())
    }

    async fn say(&self, text: String) -> u32 {
        let guests = self.state().guests.clone();
        let mut heard = 0;
        for guest in guests {
            heard += u32::from(guest.hear(text.clone()).await.is_ok());
        }
        heard
    }

    async fn meet(&self, room: RoomProxy) -> Result<String, String> {
        room.greet().await.map_err(text)
    }

    async fn visit(&self, caller: &Caller, device: String) -> Result<(), String> {
        own_user(caller)?;
        let room = self.room_of(&device).await?;
        let ear = GuestStub::new(Ear(self.clone())).into_proxy();
        room.join(ear).await.map_err(text)?;
        let here = self.clone();
        let died = move |reason| here.state().lost.push(format!("{reason}"));
        let link = room.as_object().link_to_death(died).map_err(text)?;
        // Of a room that was joined before, the last time counts.
        self.state().joined.insert(device, link);
        Ok(())
    }

    async fn heard(&self) -> Vec<String> {
        self.state().heard.clone()
    }

    async fn lost(&self) -> Vec<String> {
        self.state().lost.clone()
    }

    async fn introduce(&self, caller: &Caller, home: String, to: String) -> Result<String, String> {
        own_user(caller)?;
        let (home, to) = (self.room_of(&home).await?, self.room_of(&to).await?);
        to.meet(home).await.map_err(text)
    }
}

/// Of the protocol, for the scenario `versions` only: an application says nothing of them.
fn versions() -> Option<(u32, u32)> {
    let text = std::fs::read_to_string("/data/versions").ok()?;
    let (lowest, highest) = text.split_once(' ')?;
    Some((lowest.parse().ok()?, highest.parse().ok()?))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut ends = signal(SignalKind::terminate())?;
    let mut builder = Node::builder()
        .identity_dir("/data")
        .mdns(Interfaces::All)
        .host_local(local::default_path());
    if let Some((lowest, highest)) = versions() {
        builder = builder.protocol_versions(lowest, highest);
    }
    let node = builder.start().await?;
    let here = Here {
        node: node.clone(),
        state: Arc::default(),
    };
    let options = ServiceOptions::distributed(Allow::trusted());
    node.samgr()
        .add(ROOM, &RoomStub::new(here).into(), options)?;
    println!("{}", node.device_id());
    ends.recv().await;
    node.shutdown().await;
    Ok(())
}
