// SPDX-License-Identifier: LGPL-2.1-or-later
//! Value types that make wrong values unrepresentable: `FromStr` is the only door, `Display` the way back.

mod caps;
mod caps_words;
mod custom_mount;
mod ids;
mod limits;
mod modes;
mod names;
#[cfg(test)]
mod properties;
mod resources;
pub mod shown;
mod signals;
mod spelling;
mod units;
mod variables;
mod words;

pub use caps::{Capability, CapabilitySet, CapabilityWords, DEFAULT_BOUNDING, UnknownCapability};
pub use caps_words::capability_names;
pub use custom_mount::{Bind, BindIdmap, BindSource, CustomMount, Overlay, PivotRoot, Tmpfs};
pub use ids::{Id128, UidRange};
pub use modes::*;
pub use names::{Hostname, InterfaceName, LinkPair, LinkReference, MachineName, SliceName, UnitProperty, is_user_name};
pub use resources::{CpuList, FilterWords, Personality, PortForward, Protocol, Rlimit, RlimitResource, Signal};
pub use spelling::distance;
pub use units::parse_size;
pub use variables::{Credential, CredentialSource, EnvAssignment, is_env_name};
pub use words::{
    absolute, as_text, container_path, number, parse_bool, signed_number, split_blanks, split_colons, split_quoted,
};
