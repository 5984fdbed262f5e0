//! What happens while device 1 calls device 2.

use std::{
    net::Ipv4Addr,
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use testkit::{netns::Network, strangers::Flood, wait::wait_until};

use crate::program::{
    By, Result,
    site::{Device, SOON, Site},
};

/// How long most of them last: longer than it takes to miss a device.
const LASTS: Duration = Duration::from_secs(8);

pub(super) struct Situation {
    pub(super) what: &'static str,
    /// Where it makes a difference; nothing where that is everywhere.
    pub(super) only: Option<By>,
    /// Before the devices start.
    pub(super) prepare: fn(&mut Site) -> Result<()>,
    /// What there is to remark of it, from the `;` on, or nothing.
    pub(super) happens: Happens,
}

type Happens = fn(&Site, &mut [Device]) -> Result<String>;

const fn situation(what: &'static str, happens: Happens) -> Situation {
    Situation {
        what,
        only: None,
        prepare: |_| Ok(()),
        happens,
    }
}

fn nothing_to_remark() -> Result<String> {
    Ok(String::new())
}

pub(super) const SITUATIONS: &[Situation] = &[
    situation("nothing happens", |_, _| nothing_to_remark()),
    situation("20 % loss for 10 s", |site, _| {
        site.lab.drop_percent(20)?;
        sleep(Duration::from_secs(10));
        site.lab.drop_percent(0)?;
        nothing_to_remark()
    }),
    situation("partition of 8 s", |site, _| {
        site.lab.cut(2)?;
        sleep(LASTS);
        site.lab.heal(2)?;
        nothing_to_remark()
    }),
    situation("the callee is heard by nobody for 8 s", |site, _| {
        site.lab.mute(2, true)?;
        sleep(LASTS);
        site.lab.mute(2, false)?;
        nothing_to_remark()
    }),
    situation("the cable is out five times", |site, _| {
        for _ in 0..5 {
            site.lab.link_down(2)?;
            sleep(Duration::from_millis(500));
            site.lab.link_up(2)?;
            sleep(Duration::from_millis(500));
        }
        nothing_to_remark()
    }),
    situation(
        "the caller, which was dialled, changes its address three times",
        |site, _| {
            for last in [101, 102, 103] {
                site.lab.change_address(1, Ipv4Addr::new(10, 77, 0, last))?;
                sleep(Duration::from_secs(1));
            }
            nothing_to_remark()
        },
    ),
    situation("SIGKILL and restart of the callee", |site, devices| {
        devices[1].process.kill()?;
        devices[1] = site.start(2)?;
        nothing_to_remark()
    }),
    situation(
        "graceful leave and restart of the callee",
        |site, devices| {
            devices[1].tell("leave")?;
            devices[1].process.wait(SOON)?;
            devices[1] = site.start(2)?;
            nothing_to_remark()
        },
    ),
    situation("SIGSTOP of the callee for 8 s", |_, devices| {
        devices[1].process.suspend()?;
        sleep(LASTS);
        devices[1].process.resume()?;
        nothing_to_remark()
    }),
    situation("power loss and restart of the callee", |site, devices| {
        site.lab.cut(2)?;
        devices[1].process.kill()?;
        sleep(Duration::from_secs(1));
        site.lab.heal(2)?;
        devices[1] = site.start(2)?;
        nothing_to_remark()
    }),
    Situation {
        what: "of two networks that the callee is on, the one in use is cut for 8 s",
        only: None,
        prepare: |site| Ok(site.lab.add_second_network()?),
        happens: one_of_two_networks_is_cut,
    },
    Situation {
        what: "the callee's wall clock jumps to 1970, ten years on, and back",
        only: None,
        prepare: |site| site.wind(2),
        happens: the_clock_jumps,
    },
    situation("a stranger floods both for 8 s", a_stranger_floods),
    situation(
        "a trusted device floods the callee with calls for 8 s",
        a_friend_floods,
    ),
    situation(
        "a trusted device calls the callee and never reads",
        a_friend_is_deaf,
    ),
    Situation {
        what: "UDP is blocked for 8 s, and let through again",
        only: Some(By::All),
        prepare: |_| Ok(()),
        happens: udp_is_blocked,
    },
];

/// By which transport, and on which network, the caller is connected with the callee.
fn way(site: &Site, caller: &mut Device) -> Result<(String, Option<Network>)> {
    let way = caller.ask(&format!("where {}", site.id(2)), "there")?;
    let text = |field: &str| way[field].as_str().unwrap_or_default().to_owned();
    let network = match text("address") {
        first if first.starts_with("10.77.") => Some(Network::First),
        second if second.starts_with("10.78.") => Some(Network::Second),
        _ => None,
    };
    Ok((text("transport"), network))
}

fn one_of_two_networks_is_cut(site: &Site, devices: &mut [Device]) -> Result<String> {
    let (_, network) = way(site, &mut devices[0])?;
    let network = network.ok_or("neither network is in use")?;
    site.lab.cut_on(network, 2)?;
    let cut = Instant::now();
    let after = becomes(site, devices, SOON, |_, other| {
        other.is_some_and(|other| other != network)
    })?;
    sleep(LASTS.saturating_sub(cut.elapsed()));
    site.lab.heal_on(network, 2)?;
    Ok(format!("; on the other one after {after:.1} s"))
}

/// For how long it takes until the caller is connected in such a way, in seconds.
fn becomes(
    site: &Site,
    devices: &mut [Device],
    within: Duration,
    wanted: impl Fn(&str, Option<Network>) -> bool,
) -> Result<f64> {
    let begun = Instant::now();
    loop {
        // Between two ways there may be none.
        let now = way(site, &mut devices[0]);
        match now {
            Ok((transport, network)) if wanted(&transport, network) => {
                return Ok(begun.elapsed().as_secs_f64());
            }
            now if begun.elapsed() > within => {
                return Err(format!("after {within:?} the session is on {now:?}").into());
            }
            _ => sleep(Duration::from_millis(50)),
        }
    }
}

fn the_clock_jumps(site: &Site, devices: &mut [Device]) -> Result<String> {
    const TEN_YEARS: i64 = 10 * 365 * 24 * 60 * 60;
    let now = || -> Result<i64> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(i64::try_from(since.as_secs())?)
    };
    for jump in [-now()?, TEN_YEARS, 0] {
        site.clock(2)?.jump(jump)?;
        let shows = devices[1].ask("clock", "clock")?["seconds"].as_i64();
        let ahead = shows.ok_or("no time")? - now()?;
        if (ahead - jump).abs() > 60 {
            return Err(format!("the clock is {ahead} s ahead and not {jump} s").into());
        }
        sleep(Duration::from_secs(3));
    }
    nothing_to_remark()
}

fn a_stranger_floods(site: &Site, devices: &mut [Device]) -> Result<String> {
    let begun = Instant::now();
    let callee = (site.lab.address(2), devices[1].port);
    let (from, by) = (site.lab.address(3), site.by.transports());
    let flood = site
        .lab
        .within(3, || Flood::start(from, callee, by, true, Duration::ZERO))?;
    sleep(LASTS);
    let rate = flood.sent() as f64 / begun.elapsed().as_secs_f64();
    Ok(format!("; {rate:.0} packets of the stranger in a second"))
}

fn a_friend_floods(site: &Site, _: &mut [Device]) -> Result<String> {
    let mut friend = site.start(3)?;
    friend.wait("online", site.id(2))?;
    let seconds = LASTS.as_secs();
    let flooded = friend.ask(&format!("flood {} {seconds}", site.id(2)), "flooded")?;
    Ok(format!(
        "; of the other's calls {} were answered, {} one-way calls accepted, {} refused",
        flooded["answered"], flooded["one_way"], flooded["refused"]
    ))
}

fn a_friend_is_deaf(site: &Site, devices: &mut [Device]) -> Result<String> {
    let deaf = site.start_deaf(3, &devices[1])?;
    let begun = Instant::now();
    let given_up = wait_until(2 * LASTS, || deaf.is_given_up());
    let lasted = begun.elapsed().as_secs_f64();
    let asked = deaf.asked();
    deaf.stop();
    Ok(match given_up {
        true => format!("; {asked} replies were asked for; it is given up after {lasted:.1} s"),
        false => format!("; {asked} replies were asked for; it is borne to the end"),
    })
}

/// A session stays on TCP for 15 s at least when QUIC gets through again.
const MOVED: Duration = Duration::from_secs(40);

fn udp_is_blocked(site: &Site, devices: &mut [Device]) -> Result<String> {
    becomes(site, devices, MOVED, |transport, _| transport == "quic")?;
    site.lab.block_udp(true)?;
    let blocked = Instant::now();
    let tcp = becomes(site, devices, SOON, |transport, _| transport == "tcp")?;
    sleep(LASTS.saturating_sub(blocked.elapsed()));
    site.lab.block_udp(false)?;
    let quic = becomes(site, devices, MOVED, |transport, _| transport == "quic")?;
    Ok(format!(
        "; by TCP after {tcp:.1} s, by QUIC again after {quic:.1} s"
    ))
}
