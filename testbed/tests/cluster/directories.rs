//! Sign-ins through Postern against directories that people have, and their clients against the simulated one.

mod active_directory;
mod by_dn;
mod clients;
mod ds389;
mod ldap_utils;
mod openldap;
mod parity;
mod people;
mod replay;
mod samba;
mod server;
