//! What is tried, in this order, all of it through the `softbus` command in the containers.

use std::time::Duration;

use serde_json::Value;

use crate::{
    Failure,
    world::{FRIENDS, World, eventually, same},
};

type Scenario = fn(&World) -> Result<String, Failure>;

/// Name, what it is about, and how it is tried; what was found, or what was wrong.
pub(crate) const SCENARIOS: &[(&str, &str, Scenario)] = &[
    (
        "discovery",
        "devices find one another by multicast",
        discovery,
    ),
    ("call", "each calls each, and is known as who it is", call),
    ("callback", "a room calls its guests", callback),
    (
        "introduction",
        "a room is handed to a third device, which calls it itself",
        introduction,
    ),
    (
        "fleet",
        "a device without an entry is trusted for its certificate",
        fleet,
    ),
    (
        "stranger",
        "a device that nobody trusts is refused",
        stranger,
    ),
    ("killed", "the service is killed, and comes back", killed),
    ("paused", "the service stands still, and goes on", paused),
    (
        "cut off",
        "the service is off the network, and on it again",
        cut_off,
    ),
    ("rolling", "all are restarted, one after the other", rolling),
    (
        "versions",
        "old and new versions of the protocol, together and apart",
        versions,
    ),
];

/// Far more than anything here takes.
const SOON: Duration = Duration::from_secs(30);
/// In which a device that does not answer any more is known to be gone (docs: 6.3 s), and asked about by a command.
const GONE: Duration = Duration::from_secs(15);

fn discovery(world: &World) -> Result<String, Failure> {
    for from in FRIENDS {
        let others = World::others(from);
        eventually(SOON, || world.sees(from, &others, true))?;
        eventually(SOON, || world.talks(from, &others))?;
    }
    let seconds = world.began.elapsed().as_secs_f64();
    Ok(format!(
        "all online to all, seen by {seconds:.1} s after the start, of which looking took 8 s"
    ))
}

fn call(world: &World) -> Result<String, Failure> {
    let mut calls = 0;
    for from in FRIENDS {
        for of in World::others(from) {
            world.greet(from, of)?;
            calls += 1;
        }
    }
    Ok(format!("{calls} calls, each with the caller's id"))
}

fn callback(world: &World) -> Result<String, Failure> {
    for guest in ["alice", "bob"] {
        visit(world, guest)?;
    }
    let heard = world.ask("member", "service", "say", &["\"supper\""])?;
    if heard != 2 {
        return Err(format!("{heard} guests heard it, not 2").into());
    }
    for guest in ["alice", "bob"] {
        let heard = world.ask(guest, guest, "heard", &[])?;
        same(&heard[0], "supper", &format!("what {guest} heard"))?;
    }
    Ok("said in one room, heard by two guests".into())
}

fn visit(world: &World, guest: &str) -> Result<(), Failure> {
    let id = text(world.id("service"));
    world.ask(guest, guest, "visit", &[&id]).map(drop)
}

/// As JSON, which is what the command takes.
fn text(text: &str) -> String {
    Value::from(text).to_string()
}

fn introduction(world: &World) -> Result<String, Failure> {
    let (home, to) = (text(world.id("service")), text(world.id("bob")));
    let caller = world.ask("alice", "alice", "introduce", &[&home, &to])?;
    same(&caller, world.id("bob"), "who the service was called by")?;
    Ok("called by bob, not by alice".into())
}

fn fleet(world: &World) -> Result<String, Failure> {
    let listed = world.container("service").softbus(&["trust", "list"])?;
    let member = world.id("member");
    if listed.objects.iter().any(|entry| entry["device"] == member) {
        return Err("the service has an entry for the member".into());
    }
    let seen = world.devices("service", &["member"])?.remove(0);
    if seen["trusted"] != true {
        return Err(format!("the service does not trust the member: {seen}").into());
    }
    world.greet("member", "service")?;
    Ok("no entry, a certificate, and a call".into())
}

fn stranger(world: &World) -> Result<String, Failure> {
    let refused = world.call("stranger", "service", "greet", &[])?;
    if refused.code != Some(4) || refused.error["kind"] != "refused" {
        return Err(format!("exit code {:?}, {}", refused.code, refused.error).into());
    }
    let seen = world.devices("service", &["stranger"])?.remove(0);
    if seen["trusted"] == true || seen["presence"] == "online" {
        return Err(format!("the service takes it for {seen}").into());
    }
    Ok(format!("exit code 4: {}", refused.error["error"]))
}

/// Why the service's room was lost, as often as it was.
fn losses(world: &World, guest: &str) -> Result<Vec<Value>, Failure> {
    let lost = world.ask(guest, guest, "lost", &[])?;
    Ok(lost.as_array().cloned().unwrap_or_default())
}

/// Waits until both guests are told once more that the room is gone. How long it took, and why it was.
fn lost_again(world: &World, before: usize) -> Result<(f64, Value), Failure> {
    let mut reason = Value::Null;
    let mut seconds = 0.0;
    for guest in ["alice", "bob"] {
        seconds += eventually(GONE, || {
            let lost = losses(world, guest)?;
            if lost.len() != before + 1 {
                return Err(format!("{guest} was told of {} losses", lost.len()).into());
            }
            reason = lost[before].clone();
            Ok(())
        })?;
    }
    Ok((seconds, reason))
}

/// When it is there again, nobody has been told another time.
fn told_once(world: &World, before: usize) -> Result<(), Failure> {
    for guest in ["alice", "bob"] {
        let lost = losses(world, guest)?.len();
        if lost != before + 1 {
            return Err(format!("{guest} was told of {lost} losses and not {}", before + 1).into());
        }
    }
    Ok(())
}

fn killed(world: &World) -> Result<String, Failure> {
    let before = visited(world)?;
    world.container("service").kill()?;
    let (told, reason) = lost_again(world, before)?;
    let gone = world.call("alice", "service", "greet", &[])?;
    if gone.code != Some(3) {
        return Err(format!("exit code {:?} for what is gone, {}", gone.code, gone.error).into());
    }
    world.start_again("service")?;
    let back = eventually(SOON, || world.greet("alice", "service"))?;
    told_once(world, before)?;
    Ok(format!(
        "told after {told:.1} s ({reason}), called again {back:.1} s after its start"
    ))
}

fn paused(world: &World) -> Result<String, Failure> {
    let before = visited(world)?;
    world.container("service").pause()?;
    let told = lost_again(world, before);
    let seen = world.sees("bob", &["service"], false);
    world.container("service").unpause()?;
    let (told, reason) = told?;
    seen?;
    let back = eventually(SOON, || world.greet("alice", "service"))?;
    told_once(world, before)?;
    Ok(format!(
        "told after {told:.1} s ({reason}), called again {back:.1} s after it went on"
    ))
}

fn cut_off(world: &World) -> Result<String, Failure> {
    let before = visited(world)?;
    world.container("service").disconnect()?;
    let told = lost_again(world, before);
    let alone = world.sees("service", &World::others("service"), false);
    world.container("service").connect()?;
    let (told, reason) = told?;
    alone?;
    let back = eventually(SOON, || world.greet("alice", "service"))?;
    told_once(world, before)?;
    Ok(format!(
        "told after {told:.1} s ({reason}), called again {back:.1} s after the cable was in"
    ))
}

/// Both guests hold the service's room. How often they have lost it before.
fn visited(world: &World) -> Result<usize, Failure> {
    for guest in ["alice", "bob"] {
        eventually(SOON, || visit(world, guest))?;
    }
    let before = losses(world, "alice")?.len();
    match losses(world, "bob")?.len() {
        bob if bob == before => Ok(before),
        bob => Err(format!("alice was told of {before} losses, bob of {bob}").into()),
    }
}

fn rolling(world: &World) -> Result<String, Failure> {
    let mut longest: f64 = 0.0;
    for name in FRIENDS {
        world.container(name).stop()?;
        world.start_again(name)?;
        for other in World::others(name) {
            let to = eventually(SOON, || world.greet(other, name))?;
            let from = eventually(SOON, || world.greet(name, other))?;
            longest = longest.max(to).max(from);
        }
    }
    Ok(format!(
        "4 restarted; at most {longest:.1} s until a call of one of them worked again"
    ))
}

/// The service is of the next version: of one that speaks the others' too, and then of one that does not.
fn versions(world: &World) -> Result<String, Failure> {
    world.restart_as("service", Some("1 2"))?;
    for other in World::others("service") {
        eventually(SOON, || world.greet(other, "service"))?;
        world.greet("service", other)?;
    }
    world.restart_as("service", Some("2 3"))?;
    let expected = "no common protocol version: 1..=1 here, 2..=3 there";
    let mut told = String::new();
    eventually(SOON, || {
        let refused = world.call("alice", "service", "greet", &[])?;
        told = refused.error["error"].to_string();
        match refused.code == Some(1) && told.contains(expected) {
            true => Ok(()),
            false => Err(format!("exit code {:?}, {}", refused.code, refused.error).into()),
        }
    })?;
    // Those that are left get on as before.
    world.greet("alice", "bob")?;
    world.restart_as("service", None)?;
    for other in World::others("service") {
        eventually(SOON, || world.greet(other, "service"))?;
    }
    Ok(format!(
        "1..=2 calls and is called; of 2..=3 alice is told {told}"
    ))
}
