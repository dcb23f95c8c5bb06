// The name of a tar entry as a path below a folder. Pure: nothing that leaves the folder gets through.
import { CorruptError } from '../../api/errors.ts';

/** Its elements, none for the folder itself. Throws CorruptError for absolute names, `..` and what no file can have. */
export function memberPath(name: string): string[] {
  const elements = name.split('/').filter((element) => element !== '' && element !== '.');
  if (name === '' || name.startsWith('/') || name.includes('\0') || elements.includes('..')) {
    throw new CorruptError(`refusing the tar entry ${JSON.stringify(name)}: it would leave the folder`);
  }
  return elements;
}
