//! Keys of a state dict that change what an object does when it is used, or when it is given another state.

/// Methods that a pickle calls on its objects, and the hooks of `torch.nn.Module`, `torch.optim` and tensors.
const WATCHED_KEYS: &[&str] = &[
    "append",
    "extend",
    "add",
    "keys",
    "forward",
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
    "_compiled_call_impl",
];

/// Whether a key of a state dict is one of those, or a dunder name.
pub fn is_watched_key(key: &str) -> bool {
    WATCHED_KEYS.contains(&key) || key.len() > 4 && key.starts_with("__") && key.ends_with("__")
}
