#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| salesforce_backup_operator_fuzz::targets::text(data));
