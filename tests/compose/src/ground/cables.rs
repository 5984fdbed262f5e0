//! What happens to the cables of containers: they are long, pulled, or there are two.

use std::{sync::atomic::Ordering, time::Duration};

use testkit::{
    netns::{LongCable, Namespace, Port},
    network::Network,
};

use super::{Ground, lock};
use crate::{Another, ComposeError, Container};

/// What is other than usual.
#[derive(Debug, Default)]
pub(super) struct Cables {
    long: Vec<LongCable>,
    cut: Vec<(Network, usize, Port)>,
    /// The second network, and the hardware addresses of all containers there, by place.
    second: Option<(Another, Vec<String>)>,
}

impl Ground {
    /// All that is sent takes so much longer; zero ends that. Between two containers there are two cables.
    ///
    /// # Errors
    /// This user may not change what Docker made; so with all below, or Docker fails.
    pub fn delay(&self, by: Duration) -> Result<(), ComposeError> {
        let mut cables = lock(&self.cables);
        for cable in std::mem::take(&mut cables.long) {
            cable.end()?;
        }
        if by.is_zero() {
            return Ok(());
        }
        for place in 0..self.len() {
            if let Some(port) = self.port(place, Network::First, &cables)? {
                cables.long.push(port.delay(by / 2)?);
            }
        }
        Ok(())
    }

    /// Takes a device off its network, or puts it there again, with another interface.
    pub fn plug(&self, place: usize, plugged: bool) -> Result<(), ComposeError> {
        let it = &self.places[place];
        it.unplugged.store(true, Ordering::Relaxed);
        if !plugged {
            return it.container.disconnect();
        }
        it.container.connect()?;
        *lock(&it.inside) = Some(it.container.inside()?);
        self.weathered()
    }

    /// Puts all devices on a second network as well.
    pub fn add_second_network(&self) -> Result<(), ComposeError> {
        let network = Another::new(format!("{}_second", self.project))?;
        let name = network.name().to_owned();
        let mut cables = lock(&self.cables);
        // Also who is on it by half is taken off.
        let (_, hardware) = cables.second.insert((network, Vec::new()));
        for place in &self.places {
            hardware.push(place.container.join(&name)?);
        }
        Ok(())
    }

    /// Cuts a device off on one of the networks, of which it notices nothing, or ends that.
    pub fn cut_on(&self, network: Network, place: usize, cut: bool) -> Result<(), ComposeError> {
        let mut cables = lock(&self.cables);
        let is = |it: &(Network, usize, Port)| (it.0, it.1) == (network, place);
        match cables.cut.iter().position(is) {
            Some(known) if !cut => cables.cut.swap_remove(known).2.cut(false)?,
            None if cut => {
                if let Some(port) = self.port(place, network, &cables)? {
                    port.cut(true)?;
                    cables.cut.push((network, place, port));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// As it was.
    pub(super) fn clear_cables(&self) -> Result<(), ComposeError> {
        self.delay(Duration::ZERO)?;
        let (cut, second) = {
            let mut cables = lock(&self.cables);
            (std::mem::take(&mut cables.cut), cables.second.take())
        };
        for (_, _, port) in cut {
            port.cut(false)?;
        }
        if let Some((network, hardware)) = second {
            // Of those that got so far.
            for place in &self.places[..hardware.len()] {
                place.container.part(network.name())?;
            }
        }
        for place in 0..self.len() {
            let it = &self.places[place];
            if it.unplugged.swap(false, Ordering::Relaxed) {
                // If it is there, that is said, and it is as it should be.
                let _ = it.container.connect();
                // What starts has its interfaces in order.
                self.end(place, Container::kill)?;
            }
        }
        Ok(())
    }

    /// The port of a device at the bridge of a network, where it runs.
    fn port(
        &self,
        place: usize,
        network: Network,
        cables: &Cables,
    ) -> Result<Option<Port>, ComposeError> {
        let Some(inside) = lock(&self.places[place].inside).clone() else {
            return Ok(None);
        };
        let second = cables.second.as_ref().map(|(_, hardware)| hardware);
        let hardware = match network {
            Network::First => Some(&inside.hardware),
            Network::Second => second.and_then(|hardware| hardware.get(place)),
        };
        let Some(hardware) = hardware else {
            return Ok(None);
        };
        let device = Namespace::of_process(inside.process)?;
        Ok(Some(Port::of(&device, hardware)?))
    }
}
