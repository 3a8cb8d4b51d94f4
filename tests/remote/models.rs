//! Models as bytes: what does no harm and what would, and a checkpoint with many records as torch writes it.

/// A list of numbers.
pub const CLEAN: &[u8] = b"\x80\x02](K\x01K\x02e.";
/// Would run a command.
pub const DANGEROUS: &[u8] = b"cposix\nsystem\n(S'echo inert'\ntR.";

/// A safetensors file with one tensor of so many bytes.
pub fn safetensors(bytes: usize) -> Vec<u8> {
    let header = format!(r#"{{"w":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.resize(file.len() + bytes, 0);
    file
}

/// A checkpoint of torch: a pickle that names storages, and a stored record for each.
pub fn checkpoint(records: usize, floats: usize) -> Vec<u8> {
    let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let mut pickle = b"\x80\x02](".to_vec();
    for record in 0..records {
        let parts = [
            b"(".to_vec(),
            text("storage"),
            b"ctorch\nFloatStorage\n".to_vec(),
            text(&record.to_string()),
            text("cpu"),
            [&b"J"[..], &(floats as u32).to_le_bytes()].concat(),
            b"tQ".to_vec(),
        ];
        pickle.extend(parts.concat());
    }
    pickle.extend(b"e.");
    let mut zip = Zip::default();
    zip.add("model/data.pkl", &pickle);
    let numbers = vec![0; floats * 4];
    for record in 0..records {
        zip.add(&format!("model/data/{record}"), &numbers);
    }
    zip.add("model/version", b"3\n");
    zip.finish()
}

/// Writes stored entries. A checksum of 0 means that none was written.
#[derive(Default)]
struct Zip {
    file: Vec<u8>,
    directory: Vec<u8>,
    entries: u16,
}

impl Zip {
    fn add(&mut self, name: &str, content: &[u8]) {
        let at = (self.file.len() as u32).to_le_bytes();
        let size = (content.len() as u32).to_le_bytes();
        // Version, flags, method, time, date, checksum, both sizes, length of name and extra field.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0, 0, 0, 0, 0];
        common.extend([size, size].concat());
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        self.file.extend([b"PK\x03\x04", &common[..], name.as_bytes(), content].concat());
        // Before it the version of the writer; behind it comment, disk, attributes, and the offset of the local header.
        self.directory
            .extend([b"PK\x01\x02", &[20, 0][..], &common[..], &[0; 10][..], &at[..], name.as_bytes()].concat());
        self.entries += 1;
    }

    fn finish(mut self) -> Vec<u8> {
        let (at, size) = (self.file.len() as u32, self.directory.len() as u32);
        self.file.append(&mut self.directory);
        let entries = self.entries.to_le_bytes();
        let sizes = [size.to_le_bytes(), at.to_le_bytes()].concat();
        self.file.extend([b"PK\x05\x06", &[0; 4][..], &entries, &entries, &sizes, &[0, 0]].concat());
        self.file
    }
}
