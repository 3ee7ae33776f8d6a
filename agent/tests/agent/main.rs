//! The agent as a whole, in one process with a scripted directory and a minimal relay: real TLS, QUIC, LDAPS.

#[cfg(test)]
mod bad_dc;
#[cfg(test)]
mod bed;
#[cfg(test)]
mod check;
#[cfg(test)]
mod dc;
#[cfg(test)]
mod directory;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod dns;
#[cfg(test)]
mod example;
#[cfg(test)]
mod look_up;
#[cfg(test)]
mod pki;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod second_try;
#[cfg(test)]
mod session;
#[cfg(test)]
mod tcp;
