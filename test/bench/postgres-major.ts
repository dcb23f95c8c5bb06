// The PostgreSQL that makes what is measured with: the newest that Debian's pgBackRest (2.45) knows, so that every peer can
// work with the same segments and the same data folder.
export const BENCH_MAJOR = 15;
