//! Which rule fires: on the calls of a pickle, on the form of a pickle, on the facts of formats, on the names in the
//! configuration of a model. The findings themselves are made in [`super::rule`].

mod arguments;
mod attributes;
pub(crate) mod facts;
mod keras_names;
mod names;
pub mod pickle_calls;
mod pickle_form;
pub mod state_keys;
