import java.io.FileReader;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;

import org.eclipse.dataspacetck.core.system.ConsoleMonitor;
import org.eclipse.dataspacetck.runtime.TckRuntime;
import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.TestDescriptor;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.TestSource;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;

/**
 * Starts one conformance kit through its own runtime and writes one line per test to a results file.
 *
 * The kits' command line classes always exit 0 and are not published for every version; the runtime
 * class is. JUnit finds the two nested classes through META-INF/services, which artifacts.py writes next to
 * the compiled classes.
 *
 * Arguments: launcher class, test packages (comma separated), properties file, results file, filter.
 */
public final class Kit {

    private static PrintWriter results;
    private static Pattern only;

    public static void main(String[] args) throws Exception {
        var settings = new HashMap<String, String>();
        try (var reader = new FileReader(args[2], StandardCharsets.UTF_8)) {
            var file = new Properties();
            file.load(reader);
            file.stringPropertyNames().forEach(name -> settings.put(name, file.getProperty(name).trim()));
        }
        settings.put("dataspacetck.launcher", args[0]);
        settings.putIfAbsent("dataspacetck.ansi", "false");
        only = args[4].isEmpty() ? null : Pattern.compile(args[4]);

        var monitor = new ConsoleMonitor(
                Boolean.parseBoolean(settings.get("dataspacetck.debug")),
                Boolean.parseBoolean(settings.get("dataspacetck.ansi")));
        var builder = TckRuntime.Builder.newInstance().properties(settings).monitor(monitor);
        for (var name : args[1].split(",")) {
            builder.addPackage(name.trim());
        }
        try (var out = new PrintWriter(Files.newBufferedWriter(Path.of(args[3])), true)) {
            results = out;
            builder.build().execute();
            out.println("end");
        }
        System.exit(0); // a kit leaves threads behind
    }

    private static Optional<String> name(Optional<TestSource> source) {
        return source.filter(MethodSource.class::isInstance).map(MethodSource.class::cast)
                .map(m -> m.getClassName().replaceFirst(".*\\.verification\\.", "") + "." + m.getMethodName());
    }

    /** Keeps the tests whose method or display name contains a match of the filter. */
    public static final class Only implements PostDiscoveryFilter {
        @Override
        public FilterResult apply(TestDescriptor test) {
            var keep = only == null || !test.isTest() || only.matcher(test.getDisplayName()).find()
                    || name(test.getSource()).map(n -> only.matcher(n).find()).orElse(false);
            return keep ? FilterResult.included("") : FilterResult.excluded("filtered out");
        }
    }

    /** Writes status, milliseconds, method, display name and failure message, tab separated. */
    public static final class Results implements TestExecutionListener {
        private final Map<String, Long> started = new ConcurrentHashMap<>();

        @Override
        public void executionStarted(TestIdentifier test) {
            started.put(test.getUniqueId(), System.nanoTime());
        }

        @Override
        public void executionSkipped(TestIdentifier test, String reason) {
            if (test.isTest()) {
                write("SKIPPED", 0, test, reason);
            }
        }

        @Override
        public void executionFinished(TestIdentifier test, TestExecutionResult result) {
            var failed = result.getStatus() != TestExecutionResult.Status.SUCCESSFUL;
            var millis = (System.nanoTime() - started.getOrDefault(test.getUniqueId(), System.nanoTime())) / 1_000_000;
            var message = result.getThrowable().map(Throwable::toString).orElse("");
            if (test.isTest()) {
                write(failed ? "FAILED" : "PASSED", millis, test, message);
            } else if (failed) {
                write("BROKEN", millis, test, message); // a class whose set-up failed
            }
        }

        private static synchronized void write(String status, long millis, TestIdentifier test, String message) {
            var id = name(test.getSource()).orElse(test.getLegacyReportingName());
            var text = message.replaceAll("\\s+", " ");
            results.println(String.join("\t", status, Long.toString(millis), id, test.getDisplayName(),
                    text.length() > 600 ? text.substring(0, 600) + "..." : text));
        }
    }
}
