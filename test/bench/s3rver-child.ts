// s3rver as a process of its own; ends when its parent does.
import { startS3 } from '../servers/s3rver.ts';

const { endpoint, accessKeyId, secretAccessKey, stop } = await startS3();
process.once('disconnect', () => void stop());
// Signals reach the whole group, but only a stop removes the data.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
process.send?.({ endpoint, accessKeyId, secretAccessKey });
