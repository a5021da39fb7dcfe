import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's own tools one after the other in one JVM, because starting one costs a second each.
 *
 * Standard input: for each command a count of words, the words (the first is a class with a main), and what the tool shall read.
 * Standard output: for each command its exit status, what it wrote to standard output, and what it wrote to standard error.
 * Every text is a 32-bit length and its bytes. It ends with its input.
 */
public final class Batch {
    /** A tool wants to end the JVM. Some catch everything that is thrown, so what they say after this is not listened to. */
    private static final class Ended extends RuntimeException {
        Ended() {
            super(null, null, false, false);
        }
    }

    /** What a tool writes, until it asks to end. */
    private static final class Captured extends ByteArrayOutputStream {
        @Override
        public synchronized void write(int b) {
            if (endedWith == null) {
                super.write(b);
            }
        }

        @Override
        public synchronized void write(byte[] bytes, int from, int count) {
            if (endedWith == null) {
                super.write(bytes, from, count);
            }
        }
    }

    private static final List<Runnable> HOOKS = new ArrayList<>();
    private static volatile Integer endedWith;

    public static void main(String[] ignored) throws Exception {
        DataInputStream in = new DataInputStream(System.in);
        DataOutputStream out = new DataOutputStream(System.out);
        Exit.Procedure end = (status, message) -> {
            System.out.flush();
            System.err.flush();
            if (endedWith == null) {
                endedWith = status;
            }
            throw new Ended();
        };
        Exit.setExitProcedure(end);
        Exit.setHaltProcedure(end);
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        while (true) {
            int count;
            try {
                count = in.readInt();
            } catch (EOFException over) {
                return;
            }
            List<String> words = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                words.add(new String(text(in), StandardCharsets.UTF_8));
            }
            Captured stdout = new Captured();
            Captured stderr = new Captured();
            int status = run(words, text(in), stdout, stderr);
            out.writeInt(status);
            put(out, stdout);
            put(out, stderr);
            out.flush();
        }
    }

    /** What would run when the JVM ends; some tools register there past Kafka's own Exit. */
    @SuppressWarnings("unchecked")
    private static Map<Thread, Thread> jvmHooks() throws ReflectiveOperationException {
        Field hooks = Class.forName("java.lang.ApplicationShutdownHooks").getDeclaredField("hooks");
        hooks.setAccessible(true);
        return (Map<Thread, Thread>) hooks.get(null);
    }

    private static int run(List<String> words, byte[] input, Captured stdout, Captured stderr) {
        PrintStream trueOut = System.out;
        PrintStream trueErr = System.err;
        System.setIn(new ByteArrayInputStream(input));
        System.setOut(new PrintStream(stdout, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(stderr, true, StandardCharsets.UTF_8));
        HOOKS.clear();
        endedWith = null;
        try {
            Set<Thread> before = Set.copyOf(jvmHooks().keySet());
            Object arguments = words.subList(1, words.size()).toArray(new String[0]);
            int status = status(() -> Class.forName(words.get(0)).getMethod("main", String[].class).invoke(null, arguments));
            for (Thread hook : Set.copyOf(jvmHooks().keySet())) {
                if (!before.contains(hook)) {
                    Runtime.getRuntime().removeShutdownHook(hook);
                    HOOKS.add(hook);
                }
            }
            for (Runnable hook : List.copyOf(HOOKS)) {
                endedWith = null;
                status(() -> {
                    hook.run();
                    return null;
                });
            }
            return status;
        } catch (ReflectiveOperationException refused) {
            throw new IllegalStateException("--add-opens java.base/java.lang=ALL-UNNAMED is missing", refused);
        } finally {
            System.out.flush();
            System.err.flush();
            System.setOut(trueOut);
            System.setErr(trueErr);
        }
    }

    private interface Step {
        Object run() throws Exception;
    }

    /** What it asked to end with, else 0 if it came to its end and 1 for an exception, as the JVM does. */
    private static int status(Step step) {
        int status = 0;
        try {
            step.run();
        } catch (Exception thrown) {
            status = 1;
            Throwable cause = thrown instanceof InvocationTargetException ? thrown.getCause() : thrown;
            if (!(cause instanceof Ended)) {
                System.err.print("Exception in thread \"main\" ");
                cause.printStackTrace();
            }
        }
        return endedWith == null ? status : endedWith;
    }

    private static byte[] text(DataInputStream in) throws Exception {
        byte[] bytes = new byte[in.readInt()];
        in.readFully(bytes);
        return bytes;
    }

    private static void put(DataOutputStream out, Captured text) throws Exception {
        out.writeInt(text.size());
        text.writeTo(out);
    }
}
