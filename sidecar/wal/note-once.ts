// What is worth saying once for each process and not at each file.

/** Runs `note` at the first time that a topic is noted. */
export type NoteOnce = (topic: string, note: () => void) => void;

export function createNoteOnce(): NoteOnce {
  const noted = new Set<string>();
  return (topic, note) => {
    if (noted.has(topic)) return;
    noted.add(topic);
    note();
  };
}
